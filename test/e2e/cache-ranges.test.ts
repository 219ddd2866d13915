// Parts of kept replies over the wire: both versions of HTTP, long bodies, and beside compression.

import assert from 'node:assert/strict'
import http2 from 'node:http2'
import { after, before, describe, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { ask } from '../tools/ask.ts'
import { get } from '../tools/http2.ts'
import { Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'

const page = Array.from({ length: 20_000 }, (_, index) => `line ${index}\n`).join('')
const size = page.length

let origin: Origin
let program: Program
before(async () => {
  origin = await Origin.start((_request, response) => {
    const headers = { 'cache-control': 'public, max-age=600', etag: '"v1"', 'content-type': 'text/plain' }
    response.writeHead(200, { ...headers, 'content-length': size }).end(page)
  })
  program = await Program.start({
    upstreams: { origin: { targets: [origin.url] } },
    routes: [
      { match: { path: '/plain' }, policies: [{ cache: {} }], forward: 'origin' },
      { match: { path: '/cache-compress' }, policies: [{ cache: {} }, { compress: {} }], forward: 'origin' },
      { match: { path: '/compress-cache' }, policies: [{ compress: {} }, { cache: {} }], forward: 'origin' },
    ],
  })
})
after(async () => {
  await program[Symbol.asyncDispose]()
  await origin[Symbol.asyncDispose]()
})

const asked = (path: string) => origin.targets.get(path) ?? 0

/** Ranges with what they are answered: the status, the part, and where it stands. */
const cases = [
  ['bytes=0-9', 206, page.slice(0, 10), `bytes 0-9/${size}`],
  ['bytes=-10', 206, page.slice(-10), `bytes ${size - 10}-${size - 1}/${size}`],
  // Longer than what is written at once.
  ['bytes=70000-', 206, page.slice(70_000), `bytes 70000-${size - 1}/${size}`],
  [`bytes=${size}-`, 416, '', `bytes */${size}`],
  ['bytes=0-1,5-6', 200, page, undefined],
] as const

test('HTTP/1.1 and HTTP/2: parts, 416 and the whole, with their lengths, and the service is asked once', async () => {
  assert.equal((await ask(program.port, { path: '/plain' })).text, page)
  const session = http2.connect(program.url)
  session.on('error', () => {})
  for (const [range, status, text, place] of cases) {
    const one = await ask(program.port, { path: '/plain', headers: { range } })
    assert.deepEqual([one.status, one.text, one.headers['content-range']], [status, text, place], range)
    assert.equal(one.headers['content-length'], String(text.length), range)
    const two = await get(session, '/plain', { range })
    assert.deepEqual([two.status, two.body, two.headers['content-range']], [status, text, place], range)
    // Over HTTP/2 a stream that ends with its head says by that that there is nothing.
    assert.equal(two.headers['content-length'], text === '' ? undefined : String(text.length), range)
  }
  session.destroy()
  const { headers } = await ask(program.port, { path: '/plain', method: 'HEAD' })
  assert.deepEqual([headers['accept-ranges'], headers['content-length']], ['bytes', String(size)])
  assert.equal(asked('/plain'), 1)
})

describe('beside compress', () => {
  const coded = { 'accept-encoding': 'gzip' }
  const part = { ...coded, range: 'bytes=10-99' }

  test('cache before compress: a part of the compressed bytes, for who takes them; If-Range gets the whole', async () => {
    const path = '/cache-compress'
    const whole = await ask(program.port, { path, headers: coded })
    assert.equal(gunzipSync(whole.body).toString(), page)
    assert.equal(whole.headers.etag, 'W/"v1"')
    const found = await ask(program.port, { path, headers: part })
    assert.equal(found.status, 206)
    assert.ok(found.body.equals(whole.body.subarray(10, 100)))
    assert.equal(found.headers['content-encoding'], 'gzip')
    assert.equal(found.headers['content-range'], `bytes 10-99/${whole.body.length}`)
    assert.equal(found.headers.etag, 'W/"v1"')
    for (const tag of ['W/"v1"', '"v1"']) {
      const { status, body } = await ask(program.port, { path, headers: { ...part, 'if-range': tag } })
      assert.deepEqual([status, body.equals(whole.body)], [200, true], tag)
    }
    assert.equal(asked(path), 1)
  })

  test('compress before cache: a part of the bytes as they are, under another tag than the compressed ones', async () => {
    const path = '/compress-cache'
    for (let i = 0; i < 2; i++) {
      const whole = await ask(program.port, { path, headers: coded })
      assert.equal(gunzipSync(whole.body).toString(), page)
      assert.deepEqual([whole.headers.etag, whole.headers['accept-ranges']], ['W/"v1"', undefined])
    }
    const found = await ask(program.port, { path, headers: part })
    assert.deepEqual([found.status, found.text], [206, page.slice(10, 100)])
    assert.deepEqual([found.headers['content-encoding'], found.headers.etag], [undefined, '"v1"'])
    const resumed = await ask(program.port, { path, headers: { ...part, 'if-range': 'W/"v1"' } })
    assert.equal(resumed.status, 200)
    assert.equal(gunzipSync(resumed.body).toString(), page)
    assert.equal(asked(path), 1)
  })
})

test('afterwards there is no call and no connection left but idle ones', () => program.untilQuiet())
