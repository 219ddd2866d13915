import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defineFact } from '../../core/facts.ts'
import { Headers } from '../../core/headers.ts'
import { OptionsError } from '../../core/policy.ts'
import { Reply } from '../../core/reply.ts'
import { type CallOptions, fakePorts, makeCall, makeNext } from '../../../test/tools/call.ts'
import { headers } from './headers.ts'

type Options = Parameters<typeof headers.build>[0]
type Edits = Partial<Options['request']>

const place = { route: 'r', key: 'r/policies/0' }

function optionsOf({ request, reply }: { request?: Edits; reply?: Edits }): Options {
  const none = { set: {}, add: {}, remove: [] }
  return { request: { ...none, ...request }, reply: { ...none, ...reply } }
}

async function edited(
  options: { request?: Edits; reply?: Edits },
  call: CallOptions = {},
  fields: [string, string][] = [],
) {
  const given = optionsOf(options)
  headers.check?.(given)
  const next = makeNext(() => {
    const answer = Reply.empty(200)
    answer.headers = Headers.of(fields)
    return answer
  })
  const answer = await headers.build(given, fakePorts(), place)(next)(makeCall(call))
  return { request: [...(next.calls[0]?.headers ?? [])].slice(1), reply: [...answer.headers] }
}

const twice: [string, string][] = [
  ['X-A', '1'],
  ['x-b', '2'],
  ['x-a', '3'],
]

test('request set replaces all of the name and adds the missing', async () => {
  const { request, reply } = await edited({ request: { set: { 'x-a': 'new', 'x-c': '' } } }, { headers: twice }, twice)
  assert.deepEqual(request, [
    ['X-A', 'new'],
    ['x-b', '2'],
    ['x-c', ''],
  ])
  assert.deepEqual(reply, twice)
})

test('request add keeps those of the same name', async () => {
  const { request } = await edited({ request: { add: { 'x-a': '4' } } }, { headers: twice })
  assert.deepEqual(request, [...twice, ['x-a', '4']])
})

test('request remove takes all of the name, in any case', async () => {
  const { request } = await edited({ request: { remove: ['X-a', 'x-none'] } }, { headers: twice })
  assert.deepEqual(request, [['x-b', '2']])
})

test('remove comes before set, set before add', async () => {
  const all = { remove: ['x-a'], set: { 'x-a': 'set' }, add: { 'x-a': 'added' } }
  const { request, reply } = await edited({ request: all, reply: all }, { headers: twice }, twice)
  assert.deepEqual(request, [
    ['x-b', '2'],
    ['x-a', 'set'],
    ['x-a', 'added'],
  ])
  assert.deepEqual(reply, request)
})

test('reply edits leave the request alone', async () => {
  const edits = { set: { 'x-a': 'new' }, add: { 'x-d': '{method}' }, remove: ['x-b'] }
  const { request, reply } = await edited({ reply: edits }, { headers: twice }, twice)
  assert.deepEqual(request, twice)
  assert.deepEqual(reply, [
    ['X-A', 'new'],
    ['x-d', 'GET'],
  ])
})

test('values come from path, query, header and facts', async () => {
  const tier = defineFact<{ name: string }>('tier')
  const given = optionsOf({
    request: { set: { 'x-all': '{id} {query.q} {header.x-a} {fact.tier.name} {client.address} {query.none}.' } },
  })
  const call = makeCall({ target: '/u/7?q=a%20b', pattern: '/u/{id}', headers: { 'x-a': 'h' } })
  call.facts.set(tier, { name: 'gold' })
  await headers.build(given, fakePorts(), place)(makeNext(() => Reply.empty(200)))(call)
  assert.equal(call.headers.get('x-all'), '7 a b h gold 192.0.2.1 .')
})

test('no value of a client ends its field', async () => {
  const { request, reply } = await edited(
    { request: { set: { 'x-q': '{query.q}' } }, reply: { set: { 'x-q': '{query.q}' } } },
    { target: '/?q=a%0D%0Ax-admin:%201%00%E4%BD%8A' },
  )
  for (const [, value] of [...request, ...reply]) assert.match(value, /^[\x20-\x7e\x80-\xff]+$/)
})

test('refuses fields that are not the config’s to write', () => {
  const own = [
    'Connection',
    'Expect',
    'transfer-encoding',
    'Content-Length',
    'keep-alive',
    'upgrade',
    'TE',
    'trailer',
    'proxy-connection',
  ]
  const cases: [{ request?: Edits; reply?: Edits }, (string | number)[]][] = [
    ...own.map((name): [{ request: Edits }, string[]] => [
      { request: { set: { [name]: 'x' } } },
      ['request', 'set', name],
    ]),
    ...own.map((name): [{ reply: Edits }, (string | number)[]] => [
      { reply: { remove: ['a', name] } },
      ['reply', 'remove', 1],
    ]),
    [{ request: { add: { 'a b': 'x' } } }, ['request', 'add', 'a b']],
    [{ reply: { set: { 'a:': 'x' } } }, ['reply', 'set', 'a:']],
    [{ request: { remove: [''] } }, ['request', 'remove', 0]],
    [{ request: { set: { Host: 'x' } } }, ['request', 'set', 'Host']],
    [{ request: { remove: ['host'] } }, ['request', 'remove', 0]],
    [{}, []],
  ]
  for (const [options, path] of cases) {
    assert.throws(
      () => headers.check?.(optionsOf(options)),
      (thrown: unknown) => {
        assert.ok(thrown instanceof OptionsError)
        assert.deepEqual(thrown.path, path)
        return thrown.hint !== ''
      },
    )
  }
})

test('Host is refused with the way to change it', () => {
  assert.throws(
    () => headers.check?.(optionsOf({ request: { set: { host: 'x' } } })),
    (thrown: unknown) => thrown instanceof OptionsError && thrown.hint.includes('`forward`'),
  )
})
