import assert from 'node:assert/strict'
import { once } from 'node:events'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import zlib from 'node:zlib'
import { Body } from '../../core/body.ts'
import { Failure } from '../../core/failure.ts'
import { Headers } from '../../core/headers.ts'
import { OptionsError } from '../../core/policy.ts'
import { Reply } from '../../core/reply.ts'
import type { Static } from '../../core/schema.ts'
import { fakePorts, makeCall, makeNext, ManualSource } from '../../../test/tools/call.ts'
import { compress } from './compress.ts'
import { textualTypes } from './media-types.ts'

type Options = Static<typeof compress.options>

const place = { route: 'r', key: 'r/policies/0' }
const defaults: Options = {
  codings: ['zstd', 'br', 'gzip'],
  types: [...textualTypes],
  min: 1000,
  levels: { gzip: 5, br: 4, zstd: 3 },
  concurrent: 512,
}
const text = 'all work and no play makes Jack a dull boy. '.repeat(500)
const decoders = { gzip: zlib.gunzipSync, br: zlib.brotliDecompressSync, zstd: zlib.zstdDecompressSync }

interface Given {
  readonly method?: string
  readonly accept?: string
  readonly status?: number
  readonly headers?: Record<string, string>
  readonly body?: Body
  readonly call?: Record<string, string>
  readonly options?: Partial<Options>
}

async function run(given: Given = {}): Promise<Reply> {
  const { method = 'GET', accept = 'gzip', status = 200, body = Body.of(text) } = given
  const headers = { 'content-type': 'text/html', ...given.headers }
  const next = makeNext(() => new Reply(status, Headers.of(headers), body))
  const layer = compress.build({ ...defaults, ...given.options }, fakePorts(), place)
  return layer(next)(makeCall({ method, headers: { 'accept-encoding': accept, ...given.call } }))
}

for (const [coding, decode] of Object.entries(decoders)) {
  test(`${coding}: the body decodes to what it was, and the head says what was done`, async () => {
    const reply = await run({ accept: coding, headers: { etag: '"abc"', 'accept-ranges': 'bytes', digest: 'x' } })
    assert.equal(reply.headers.get('content-encoding'), coding)
    assert.equal(reply.headers.get('vary'), 'Accept-Encoding')
    assert.equal(reply.headers.get('etag'), 'W/"abc"')
    for (const gone of ['content-length', 'accept-ranges', 'digest']) assert.equal(reply.headers.has(gone), false)
    assert.equal(reply.body.length, -1)
    const bytes = await reply.body.bytes(text.length)
    assert.ok(bytes.length < text.length / 20)
    assert.equal(decode(bytes).toString(), text)
  })
}

describe('what is sent as it is', () => {
  const cases: readonly (readonly [title: string, given: Given, hasVary: boolean])[] = [
    ['a reply that is encoded already', { headers: { 'content-encoding': 'br' } }, false],
    ['no-transform (RFC 9111 §5.2.2.6)', { headers: { 'cache-control': 'max-age=1, No-Transform' } }, false],
    ['204', { status: 204, body: Body.empty }, false],
    ['206, a part', { status: 206 }, false],
    ['416 with Content-Range', { status: 416, headers: { 'content-range': 'bytes */9' } }, false],
    ['304', { status: 304, body: Body.empty }, false],
    ['an image', { headers: { 'content-type': 'image/png' } }, false],
    ['gRPC', { headers: { 'content-type': 'application/grpc+json' } }, false],
    ['no type', { headers: { 'content-type': '' } }, false],
    ['a short body', { body: Body.of('x'.repeat(999)) }, false],
    ['HEAD, which still says what it depends on', { method: 'HEAD' }, true],
    ['HEAD of a reply whose length stands in its head alone', { method: 'HEAD', body: Body.empty }, true],
    ['a client that takes none', { accept: 'identity' }, true],
    ['a client that takes others', { accept: 'deflate' }, true],
  ]
  test('a reply whose codings stand in several fields', async () => {
    const fields = [
      ['content-type', 'text/html'],
      ['content-encoding', 'identity'],
      ['content-encoding', 'gzip'],
    ] as const
    const next = makeNext(() => new Reply(200, Headers.of(fields), Body.of(text)))
    const reply = await compress.build(defaults, fakePorts(), place)(next)(
      makeCall({ headers: { 'accept-encoding': 'br' } }),
    )
    assert.deepEqual(reply.headers.all('content-encoding'), ['identity', 'gzip'])
  })

  for (const [title, given, hasVary] of cases) {
    test(title, async () => {
      const reply = await run(given)
      assert.equal(reply.headers.get('content-encoding'), given.headers?.['content-encoding'])
      assert.equal(reply.headers.get('vary'), hasVary ? 'Accept-Encoding' : undefined)
      const sent = given.body === undefined ? text : (await given.body.bytes(2000)).toString()
      if (given.body === undefined) assert.equal((await reply.body.bytes(text.length)).toString(), sent)
    })
  }
})

test('kinds of types: with parameters, in any case, by suffix and by family', async () => {
  for (const type of ['text/CSS; charset=utf-8', 'application/hal+json', 'image/svg+xml', 'application/json;v=1']) {
    assert.equal((await run({ headers: { 'content-type': type } })).headers.get('content-encoding'), 'gzip', type)
  }
  const types = ['model/*']
  assert.equal((await run({ options: { types } })).headers.get('content-encoding'), undefined)
  const obj = await run({ options: { types }, headers: { 'content-type': 'model/obj' } })
  assert.equal(obj.headers.get('content-encoding'), 'gzip')
})

test('a 304 to a tag that was weakened here names that tag again, another 304 does not', async () => {
  const given = { status: 304, body: Body.empty, headers: { etag: '"abc"' } }
  const weak = await run({ ...given, call: { 'if-none-match': '"x", W/"abc"' } })
  assert.equal(weak.headers.get('etag'), 'W/"abc"')
  assert.equal((await run({ ...given, call: { 'if-none-match': '"abc"' } })).headers.get('etag'), '"abc"')
})

/** Decodes what comes as it comes. */
function follow(reply: Reply, decoder: NodeJS.ReadWriteStream) {
  const seen = { text: '', failure: null as Failure | null, isEnded: false, trailers: null as Headers | null }
  decoder.on('data', (chunk: Buffer) => (seen.text += chunk.toString()))
  reply.body.pipe({
    write: chunk => decoder.write(chunk),
    end(trailers) {
      seen.isEnded = true
      seen.trailers = trailers
      decoder.end()
    },
    fail: failure => void (seen.failure = failure),
  })
  return seen
}

const decoding = { gzip: zlib.createGunzip, br: zlib.createBrotliDecompress, zstd: zlib.createZstdDecompress }

for (const [coding, makeDecoder] of Object.entries(decoding)) {
  test(`${coding}: each event reaches the client before the next is sent`, async () => {
    const { body, source } = ManualSource.body()
    const reply = await run({ accept: coding, body, headers: { 'content-type': 'text/event-stream' } })
    const decoder = makeDecoder()
    const seen = follow(reply, decoder)
    let expected = ''
    for (let i = 0; i < 20; i++) {
      source.push(`data: event ${i}\n\n`)
      expected += `data: event ${i}\n\n`
      while (seen.text.length < expected.length) await once(decoder, 'data')
      assert.equal(seen.text, expected)
    }
    const trailers = Headers.of({ 'x-sum': '1' })
    source.sink?.end(trailers)
    await once(decoder, 'end')
    assert.equal(seen.trailers, trailers)
    assert.equal(seen.text, expected)
  })
}

test('a reply that breaks off breaks off compressed, too, and never ends', async () => {
  const { body, source } = ManualSource.body()
  const reply = await run({ body })
  const decoder = zlib.createGunzip()
  const seen = follow(reply, decoder)
  source.push('the first half')
  await once(decoder, 'data')
  source.sink?.fail(new Failure('upstream-reply-cut-short'))
  assert.equal(seen.failure?.code, 'upstream-reply-cut-short')
  assert.equal(seen.isEnded, false)
})

test('a client that does not read holds back the source, and one that goes away cancels it', async () => {
  const { body, source } = ManualSource.body()
  const reply = await run({ body })
  let bytes = 0
  reply.body.pipe({
    write(chunk) {
      bytes += chunk.length
      return false
    },
    end: () => {},
    fail: () => {},
  })
  // Noise does not shrink: what is held is what came in.
  let pushed = 0
  let hasRoom = true
  while (pushed < 40 && hasRoom) {
    hasRoom = source.sink?.write(randomBytes(16_384)) ?? false
    pushed++
    await new Promise(setImmediate)
  }
  assert.ok(pushed < 40, 'it took everything')
  assert.ok(bytes <= 32_768, `${bytes} bytes went to a client that had no room`)
  const { resumes } = source
  for (let i = 0; i < 1000 && source.resumes === resumes; i++) {
    reply.body.resume()
    await new Promise(setImmediate)
  }
  assert.ok(source.resumes > resumes, 'the source was not asked again')
  assert.equal(source.isCancelled, false)
  reply.body.cancel()
  assert.equal(source.isCancelled, true)
})

const codingOf = (reply: Reply) => reply.headers.get('content-encoding')

test('past `concurrent` replies are sent as they are, until one is over', async () => {
  const counted: string[] = []
  const ports = fakePorts()
  const meter = {
    ...ports.meter,
    counter: (name: string) => ({ add: () => void counted.push(name) }),
  }
  const layer = compress.build({ ...defaults, concurrent: 2 }, { ...ports, meter }, place)
  const step = layer(makeNext(() => new Reply(200, Headers.of({ 'content-type': 'text/html' }), Body.of(text))))
  const ask = () => step(makeCall({ headers: { 'accept-encoding': 'gzip' } }))
  const [first, second, third] = [await ask(), await ask(), await ask()]
  assert.deepEqual([first, second, third].map(codingOf), ['gzip', 'gzip', undefined])
  assert.equal(counted.filter(name => name === 'turnpike_ceiling_hits').length, 1)
  first.body.cancel()
  assert.equal(codingOf(await ask()), 'gzip')
  assert.equal(codingOf(await ask()), undefined)
  await second.body.bytes(text.length)
  assert.equal(codingOf(await ask()), 'gzip')
})

function refused(given: Partial<Options>): unknown {
  try {
    compress.check?.({ ...defaults, ...given })
  } catch (error) {
    return error instanceof OptionsError ? [error.message, error.path] : error
  }
  return null
}

test('options that cannot work are refused with their place', () => {
  assert.deepEqual(refused({ types: ['text/*', 'html'] }), ['"html" is not a media type', ['types', 1]])
  assert.deepEqual(refused({ codings: ['br', 'br'] }), ['`br` stands there twice', ['codings', 1]])
  assert.equal(refused({ types: ['Text/HTML', '*+json', 'application/vnd.a+xml'] }), null)
})
