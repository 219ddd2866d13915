import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { neverNoted, type Consumer, type Identity } from '../../core/consumers.ts'
import { principal } from '../../core/principal.ts'
import { Reply } from '../../core/reply.ts'
import { hashPassword } from '../../identity/password.ts'
import { type CallOptions, fakePorts, makeCall, makeNext } from '../../../test/tools/call.ts'
import { stacked } from '../../../test/tools/stacked.ts'
import { basic } from './basic.ts'
import { createPasswordChecks } from './checks.ts'
import { readBasic } from './credentials.ts'

const place = { route: 'r', key: 'r/policies/0' }
const consumer: Consumer = { id: 'con_1', name: 'acme', groups: [], labels: {}, plan: '', limits: {} }
const phc = await hashPassword('pä:ss')

function identityOf(verifier: string): Identity {
  const times = { expiresMs: null, revokedMs: null, createdMs: 0, usedMs: null }
  const owner = { id: 'cre_1', consumer: 'con_1', application: '' }
  const texts = { lookup: 'ada', verifier, hint: '' }
  return {
    consumer,
    application: null,
    notedS: neverNoted,
    credential: { kind: 'basic', scopes: [], labels: {}, ...texts, ...owner, ...times },
  }
}

const defaults = {
  realm: 'api',
  keep: false,
  remember: 60_000,
  remembered: 10,
  checks: 2,
  waiting: 0,
  forward: {} as Record<string, string>,
}

function build() {
  const ports = fakePorts({}, { credentials: { 'basic:ada': identityOf(phc) } })
  const next = makeNext(() => Reply.empty(200))
  return { step: stacked(basic, defaults, ports, place, next), next, ports }
}

function pair(text: string): CallOptions {
  return { headers: { authorization: `Basic ${Buffer.from(text, 'utf8').toString('base64')}` } }
}

test('the right password makes the principal, and goes no further', async () => {
  const { step, next, ports } = build()
  for (let i = 0; i < 2; i++) assert.equal((await step(makeCall(pair('ada:pä:ss')))).status, 200)
  const [call] = next.calls
  assert.equal(call?.facts.get(principal)?.id, 'con_1')
  assert.equal(call?.headers.has('authorization'), false)
  assert.equal(ports.used.length, 2)
})

test('401 reads the same for whatever is wrong', async () => {
  const answers = new Set<string>()
  const twice = [...Object.entries(pair('ada:pä:ss').headers ?? {}), ...Object.entries(pair('ada:x').headers ?? {})]
  const wrong = [
    {},
    pair('ada:wrong'),
    pair('bob:pä:ss'),
    pair('ada'),
    pair(''),
    { headers: twice as [string, string][] },
  ]
  for (const init of wrong) {
    const { step, next } = build()
    const reply = await step(makeCall(init))
    assert.equal(reply.headers.get('www-authenticate'), 'Basic realm="api", charset="UTF-8"')
    assert.equal(next.calls.length, 0)
    answers.add(JSON.stringify([reply.status, reply.headers.list, (await reply.body.bytes(9_999)).toString('latin1')]))
  }
  assert.equal(answers.size, 1)
  assert.match([...answers].join(''), /^\[401,/)
})

test('503 at once when enough passwords are being checked', async () => {
  const { step } = build()
  const pending = [step(makeCall(pair('ada:1'))), step(makeCall(pair('bob:2')))]
  const refused = await step(makeCall(pair('ada:3')))
  assert.equal(refused.status, 503)
  assert.equal(refused.headers.get('retry-after'), '1')
  for (const reply of await Promise.all(pending)) assert.equal(reply.status, 401)
})

test('whatever the field holds, nothing passes that is not the pair', async () => {
  const { step } = build()
  const text = fc.string({ maxLength: 40 })
  await fc.assert(
    fc.asyncProperty(text, async field => {
      for (const value of [field, `Basic ${field}`]) {
        assert.equal((await step(makeCall({ headers: { authorization: value } }))).status, 401)
      }
    }),
  )
})

test('a pair is read strictly', () => {
  assert.deepEqual(readBasic(encode(Buffer.from('a:b:c'))), { user: 'a', password: 'b:c' })
  assert.deepEqual(readBasic(encode(Buffer.from('a:'))), { user: 'a', password: '' })
  for (const bytes of [Buffer.from(':b'), Buffer.from('a'), Buffer.from([0x61, 0x3a, 0xff]), Buffer.from('a:b\n')]) {
    assert.equal(readBasic(encode(bytes)), null)
  }
  // The same octets with trailing bits, without padding, and too long.
  for (const text of ['Basic YTpiYx==', 'Basic YTpi YQ==', 'Basic YTo', `Basic ${'YTpi'.repeat(600)}`, 'Bearer YTpi']) {
    assert.equal(readBasic(text), null)
  }
})

function encode(bytes: Buffer): string {
  return `Basic ${bytes.toString('base64')}`
}

function startChecks(limits: Partial<Parameters<typeof createPasswordChecks>[0]> = {}) {
  const ports = fakePorts()
  const asked: string[] = []
  const given = { atOnce: 1, waiting: 1, rememberedMax: 2, rememberMs: 1000, ...limits }
  const checks = createPasswordChecks(given, ports.clock, async (password, hash) => {
    asked.push(hash)
    return Promise.resolve(password === 'right')
  })
  return { checks, asked, ports }
}

test('what was right is remembered for its time, and not for another hash', async () => {
  const { checks, asked, ports } = startChecks()
  assert.equal(await checks.check('ada', 'right', 'hash'), 'right')
  assert.equal(checks.check('ada', 'right', 'hash'), 'right')
  assert.equal(asked.length, 1)
  assert.equal(await checks.check('ada', 'right', 'other'), 'right')
  assert.equal(await checks.check('bob', 'right', 'hash'), 'right')
  assert.equal(asked.length, 3)
  ports.advance(1000)
  assert.equal(await checks.check('bob', 'right', 'hash'), 'right')
  assert.equal(asked.length, 4)
})

test('what was wrong is not remembered, and an unknown user is checked all the same', async () => {
  const { checks, asked } = startChecks()
  for (let i = 0; i < 2; i++) assert.equal(await checks.check('ada', 'wrong', 'hash'), 'wrong')
  assert.equal(await checks.check('eve', 'right', null), 'wrong')
  assert.equal(await checks.check('eve', 'right', null), 'wrong')
  assert.equal(asked.length, 4)
})

test('no more at once than may be, and those who wait come in turn', async () => {
  const { checks } = startChecks()
  const first = checks.check('a', 'right', 'h')
  const second = checks.check('b', 'right', 'h')
  assert.equal(checks.check('c', 'right', 'h'), 'busy')
  assert.deepEqual(await Promise.all([first, second]), ['right', 'right'])
  assert.equal(await checks.check('c', 'right', 'h'), 'right')
})
