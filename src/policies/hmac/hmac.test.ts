import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Failure } from '../../core/failure.ts'
import { OptionsError } from '../../core/policy.ts'
import { principal } from '../../core/principal.ts'
import { Reply } from '../../core/reply.ts'
import { type CallOptions, ManualSource, makeNext } from '../../../test/tools/call.ts'
import {
  algorithms,
  build,
  callOf,
  defaults,
  digestOf,
  identities,
  identityOf,
  now,
  type Signing,
  signFields,
  target,
} from '../../../test/tools/signatures.ts'
import { until } from '../../../test/tools/until.ts'
import { anyOf } from '../any-of/any-of.ts'
import { entriesPerSet } from '../../stores/limit-memory.ts'
import { hmac } from './hmac.ts'
import { checkHmac } from './options.ts'

const body = '{"amount": 12}'
const withDigest: Signing = { components: [...target, ['"content-digest"', digestOf(body)]] }

/** Status of a call that is signed so. */
async function ask(policy: ReturnType<typeof build>, signing: Signing, more: CallOptions = {}, fields = {}) {
  const call = callOf({ ...signFields(signing), ...fields }, more)
  const reply = await policy.step(call)
  return { status: reply.status, reply, call }
}

/** Signatures are verified in another thread; then somebody takes the body. */
function taken(source: ManualSource): Promise<void> {
  return until(
    () => source.sink !== null,
    () => 'the body to be read',
  )
}

for (const algorithm of algorithms) {
  test(`a call that is signed by ${algorithm} passes, with its body, and names its consumer`, async () => {
    const policy = build({ forward: { 'X-Who': 'consumer.name' } })
    const fields = { 'Content-Digest': digestOf(body), 'X-Who': 'root' }
    const { status, call } = await ask(policy, { ...withDigest, algorithm }, { body }, fields)
    assert.equal(status, 200, call.refusal)
    const proven = call.facts.get(principal)
    assert.deepEqual([proven?.method, proven?.consumer?.name, proven?.credential], ['hmac', 'acme', `cre_${algorithm}`])
    assert.deepEqual(call.headers.all('x-who'), ['acme'])
    assert.equal((await call.body.bytes(100)).toString(), body)
    assert.equal(policy.ports.used.length, 1)
  })
}

test('@target-uri stands for scheme, authority, path and query', async () => {
  const policy = build({ cover: ['@method', '@scheme', '@authority', '@path', '@query'] })
  const uri = ['"@target-uri"', 'http://api.acme.test/a?b=c'] as const
  assert.equal((await ask(policy, { components: [['"@method"', 'POST'], uri] })).status, 200)
  assert.equal((await ask(policy, { components: [uri] })).status, 401)
})

const withBodyAnd = (name: string, value: string) => [...(withDigest.components ?? []), [name, value] as const]

test('a field is covered by all of it, strict or wrapped, and not by a member of it', async () => {
  const fields = { 'Content-Digest': digestOf(body), 'X-A': 'b=1' }
  const cover = [...defaults.cover, 'x-a']
  const structured = { 'X-A': 'dictionary' } as const
  const status = async (name: string, value: string) =>
    (await ask(build({ cover, structured }), { components: withBodyAnd(name, value) }, { body }, fields)).status
  assert.equal(await status('"x-a"', 'b=1'), 200)
  assert.equal(await status('"x-a";sf', 'b=1'), 200)
  assert.equal(await status('"x-a";bs', ':Yj0x:'), 200)
  assert.equal(await status('"x-a";key="b"', '1'), 401)
})

test('a body is held against its digest before it goes on, and without trailers', async () => {
  const { body: received, source } = ManualSource.body()
  const policy = build()
  const call = callOf({ ...signFields(withDigest), 'Content-Digest': digestOf(body) }, { body: received })
  const answer = policy.step(call)
  await taken(source)
  source.push(body.slice(0, 5))
  assert.equal(policy.next.calls.length, 0)
  source.push(body.slice(5))
  source.sink?.end(call.headers.clone())
  assert.equal((await answer).status, 200)
  assert.equal(call.body.length, body.length)
  let trailers: unknown = 'none'
  call.body.pipe({ write: () => true, end: given => void (trailers = given), fail: assert.fail })
  assert.equal(trailers, null)
})

test('a body without a digest, with one that is not signed, or with another one is refused', async () => {
  const reason = async (signing: Signing, fields: Record<string, string>, more: CallOptions = { body }) => {
    const policy = build()
    const { status, call } = await ask(policy, signing, more, fields)
    assert.equal(status, 401)
    assert.equal(policy.next.calls.length, 0)
    return call.refusal
  }
  const digest = { 'Content-Digest': digestOf(body) }
  assert.match(await reason({}, {}), /does not cover content-digest/)
  assert.match(await reason({}, digest), /does not cover content-digest/)
  assert.match(await reason(withDigest, {}), /missing/)
  assert.match(await reason(withDigest, digest, { body: `${body} ` }), /another than its digest/)
  const md5 = 'md5=:AAAA:'
  const weak = { components: [...target, ['"content-digest"', md5] as const] }
  assert.match(await reason(weak, { 'Content-Digest': md5 }), /no digest that can be checked/)
  const member = { components: [...target, ['"content-digest";key="sha-256"', digestOf(body).slice(8)] as const] }
  assert.match(await reason(member, digest), /does not cover content-digest/)
  // A digest that is signed is held against a body that is not there, too.
  assert.match(await reason(withDigest, digest, { body: '' }), /another than its digest/)
})

test('a body that is larger than may be held is a 413, and nothing of it goes on', async () => {
  const policy = build({ bodyMax: 3 })
  const fields = { ...signFields(withDigest), 'Content-Digest': digestOf(body) }
  await assert.rejects(
    policy.step(callOf(fields, { body })),
    (error: unknown) => error instanceof Failure && error.code === 'body-too-large',
  )
  assert.equal(policy.next.calls.length, 0)
})

test('a body that comes so slowly that its signature is too old is refused', async () => {
  const { body: received, source } = ManualSource.body()
  const policy = build()
  const call = callOf({ ...signFields(withDigest), 'Content-Digest': digestOf(body) }, { body: received })
  const answer = policy.step(call)
  await taken(source)
  policy.wait(200)
  source.push(body)
  source.sink?.end(null)
  assert.equal((await answer).status, 401)
  assert.match(call.refusal, /too old/)
})

const statusAt = async (parameters: string, options = {}) => {
  const { status } = await ask(build(options), { parameters: `${parameters};keyid="ed25519"` })
  return status
}

test('created and expires are held against the clock, with room for clocks that differ', async () => {
  for (const created of [now - 90, now, now + 30]) assert.equal(await statusAt(`;created=${created}`), 200)
  for (const created of [now - 91, now + 31, 0, 999_999_999_999_999])
    assert.equal(await statusAt(`;created=${created}`), 401)
  assert.equal(await statusAt(`;created=${now - 50};expires=${now - 30}`), 200)
  assert.equal(await statusAt(`;created=${now - 50};expires=${now - 31}`), 401)
  assert.equal(await statusAt(`;created=${now};expires=${now}`), 401)
  for (const none of ['', ';created', `;created="${now}"`, `;created=${now}.5`, `;created=-1`, `;expires=${now + 9}`]) {
    assert.equal(await statusAt(none), 401, none)
  }
})

test('a signature passes once, within its window and after it', async () => {
  const policy = build()
  assert.equal((await ask(policy, {})).status, 200)
  // Every two of these are the same call again.
  for (const wait of [0, 1, 60, 28, 1, 1, 100]) {
    policy.wait(wait)
    assert.equal((await ask(policy, {})).status, 401)
  }
  assert.equal(policy.next.calls.length, 1)
})

test('ECDSA: another signature over the same is the same use', async () => {
  const policy = build()
  const signing = { algorithm: 'ecdsa-p256-sha256' } as const
  assert.equal((await ask(policy, signing)).status, 200)
  const { status, call } = await ask(policy, signing)
  assert.deepEqual([status, call.refusal], [401, 'the signature was used before'])
})

const withNonce = (text: string) => ({ parameters: `;created=${now};keyid="ed25519";nonce="${text}"` })

test('a nonce makes two calls of one second two, and is used once, whatever it signs', async () => {
  const policy = build()
  assert.equal((await ask(policy, withNonce('a'))).status, 200)
  assert.equal((await ask(policy, withNonce('b'))).status, 200)
  assert.equal((await ask(policy, withNonce('a'))).status, 401)
  const later = { parameters: `;created=${now + 1};keyid="ed25519";nonce="a"` }
  assert.equal((await ask(policy, later)).status, 401)
  // The nonces of another key are others.
  const other = { algorithm: 'hmac-sha256', parameters: `;created=${now};keyid="hmac-sha256";nonce="a"` } as const
  assert.equal((await ask(policy, other)).status, 200)
})

test('replay: nonce asks for one, none remembers nothing', async () => {
  assert.match((await ask(build({ replay: 'nonce' }), {})).call.refusal, /no nonce/)
  const policy = build({ replay: 'none' })
  for (let i = 0; i < 3; i++) assert.equal((await ask(policy, {})).status, 200)
})

test('what is wrong uses nothing up', async () => {
  const policy = build()
  const fields = { 'Content-Digest': digestOf(body) }
  assert.equal((await ask(policy, withDigest, { body: 'another' }, fields)).status, 401)
  assert.equal((await ask(policy, withDigest, { body }, fields)).status, 200)
})

test('503 where the memory of used signatures is full, and room again when they are old', async () => {
  const policy = build({}, { keys: 1 })
  const statuses: number[] = []
  for (let i = 0; i < 10; i++) {
    statuses.push((await ask(policy, { parameters: `;created=${now};keyid="ed25519";nonce="${i}"` })).status)
  }
  assert.deepEqual(statuses, [
    ...Array<number>(entriesPerSet).fill(200),
    ...Array<number>(10 - entriesPerSet).fill(503),
  ])
  policy.wait(131)
  assert.equal((await ask(policy, { parameters: `;created=${now + 131};keyid="ed25519"` })).status, 200)
})

test('503 at once when enough signatures are being verified', async () => {
  const policy = build({ verifications: 2 })
  const calls = ['a', 'b', 'c'].map(text => ask(policy, withNonce(text)))
  const statuses = (await Promise.all(calls)).map(({ status }) => status)
  assert.deepEqual(statuses, [200, 200, 503])
})

test('of several signatures one that is right is enough; a tag chooses', async () => {
  const good = signFields({ label: 'a', parameters: `;created=${now};keyid="ed25519";tag="app"` })
  const wrong = signFields({ label: 'b', components: [['"@method"', 'PUT']] })
  const both = {
    'Signature-Input': `${wrong['Signature-Input']}, ${good['Signature-Input']}`,
    Signature: `${good['Signature']}, ${wrong['Signature']}`,
  }
  assert.equal((await build().step(callOf(both))).status, 200)
  assert.equal((await build({ tag: 'app' }).step(callOf(both))).status, 200)
  assert.equal((await build({ tag: 'other' }).step(callOf(both))).status, 401)
  assert.equal((await build({ signatures: 1 }).step(callOf(both))).status, 401)
})

test('a key needs the scopes', async () => {
  const scoped = identityOf('ed25519', identities['signature:ed25519']?.credential.verifier ?? '', {
    scopes: ['a', 'b'],
  })
  const world = { credentials: { 'signature:ed25519': scoped } }
  assert.equal((await ask(build({ scopes: ['a', 'b'] }, world), {})).status, 200)
  assert.equal((await ask(build({ scopes: ['a', 'c'] }, world), {})).status, 403)
})

test('401 reads the same for whatever is wrong, and says what is to be signed', async () => {
  const answers = new Set<string>()
  const unknown = signFields({ parameters: `;created=${now};keyid="nobody"` })
  const wrong = [
    {},
    { Signature: 'sig=:AAAA:' },
    unknown,
    signFields({ components: [] }),
    signFields({ parameters: `;created=${now - 1000};keyid="ed25519"` }),
    { ...signFields(), Signature: 'sig=:AAAA:' },
  ]
  for (const headers of wrong) {
    const reply = await build({ tag: 'a"b' }).step(callOf(headers))
    answers.add(JSON.stringify([reply.status, reply.headers.list, (await reply.body.bytes(9_999)).toString()]))
  }
  assert.equal(answers.size, 1)
  const reply = await build({ tag: 'a"b' }).step(callOf({}))
  assert.equal(reply.headers.get('www-authenticate'), 'Signature realm="api"')
  const wanted = 'sig=("@method" "@authority" "@path" "@query");created;tag="a\\"b"'
  assert.equal(reply.headers.get('accept-signature'), wanted)
  const withBody = await build({ cover: ['@method', '"@query-param";name="b"'] }).step(callOf({}, { body }))
  const both = 'sig=("@method" "@query-param";name="b" "content-digest");created'
  assert.equal(withBody.headers.get('accept-signature'), both)
  assert.equal((await build({ acceptSignature: false }).step(callOf({}))).headers.has('accept-signature'), false)
})

test('inside any-of: another one may let the call in, with its body, and a refusal has both challenges', async () => {
  const options = { ...defaults, bodyMax: 5 }
  const world = build()
  const letIn = { name: 'let-in', summary: '', options: {}, build: () => (next: (call: never) => never) => next }
  const refuseAll = {
    ...{ name: 'refuse', summary: '', options: {} },
    build: () => () => async () => {
      const reply = Reply.problem('unauthenticated')
      reply.headers.add('www-authenticate', 'Other')
      return Promise.resolve(reply)
    },
  }
  const within = (other: typeof letIn | typeof refuseAll) => {
    const policies = [
      { policy: 'hmac', options },
      { policy: other.name, options: {} },
    ]
    const known = [hmac, other]
    const ports = {
      ...world.ports,
      policy: (part: { policy: string; options: unknown }, index: number) => {
        const definition = known.find(({ name }) => name === part.policy) ?? assert.fail()
        return definition.build(part.options as never, ports as never, { route: 'r', key: `${index}` })
      },
    }
    const next = makeNext(() => Reply.empty(200))
    return { step: anyOf.build({ policies }, ports as never, { route: 'r', key: 'k' })(next), next }
  }
  const { body: received, source } = ManualSource.body()
  const call = callOf({ ...signFields(withDigest), 'Content-Digest': digestOf(body) }, { body: received })
  const answer = within(letIn).step(call)
  await taken(source)
  source.push(body)
  source.sink?.end(null)
  assert.equal((await answer).status, 200)
  assert.equal((await call.body.bytes(100)).toString(), body)

  const refused = await within(refuseAll).step(callOf({}))
  assert.deepEqual(refused.headers.all('www-authenticate'), ['Signature realm="api"', 'Other'])
})

const assertRefused = (options: Partial<typeof defaults>, message: RegExp) =>
  assert.throws(
    () => checkHmac({ ...defaults, ...options }),
    (error: unknown) => error instanceof OptionsError && message.test(error.message),
  )

test('options that cannot work are refused with words', () => {
  assertRefused({ cover: ['@status'] }, /@status is not known/)
  assertRefused({ cover: ['Content-Type'] }, /lower case/)
  assertRefused({ cover: ['"x";tr'] }, /not supported/)
  assertRefused({ cover: ['"x";sf'] }, /type of the structured field/)
  assertRefused({ cover: ['"x'] }, /no component identifier/)
  assertRefused({ cover: ['@query-param'] }, /needs `name`/)
  assertRefused({ replay: 'none', store: 'valkey' }, /nothing to remember/)
  assertRefused({ forward: { 'X-A': 'nonsense' } }, /no part of a principal/)
})
