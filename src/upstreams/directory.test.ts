import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Directory } from './directory.ts'
import { addressOf } from './endpoint.ts'
import { FakeEndpoint, FakePorts, settle } from './fakes.ts'

type Answers = Record<string, readonly string[] | Error | 'never'>

function open(targets: readonly (string | [string, number])[], answers: Answers = {}, refreshMs = 30_000) {
  const ports = new FakePorts()
  const lookups: string[] = []
  const directory = new Directory({
    name: 'catalog',
    targets: targets.map(target => {
      const [url, weight] = typeof target === 'string' ? [target, 1] : target
      return { url, weight, priority: 0 }
    }),
    refreshMs,
    lookup: async hostname => {
      lookups.push(hostname)
      const answer = answers[hostname] ?? []
      if (answer === 'never') return new Promise(() => {})
      if (answer instanceof Error) throw answer
      return answer
    },
    createEndpoint: (address, weight) => new FakeEndpoint(address.id, weight),
    ports,
  })
  const show = () => directory.endpoints.map(endpoint => `${endpoint.id} *${endpoint.weight}`)
  return { directory, ports, lookups, answers, show }
}

test('literal addresses need no lookup and are there at once', async () => {
  const { directory, lookups, show, ports } = open([
    'http://10.0.0.7:9001',
    'https://[2001:db8::1]',
    'http://127.0.0.1',
  ])
  assert.deepEqual(show(), [
    'http://10.0.0.7:9001 10.0.0.7 *1',
    'https://[2001:db8::1]:443 2001:db8::1 *1',
    'http://127.0.0.1:80 127.0.0.1 *1',
  ])
  await directory.ready()
  assert.deepEqual(lookups, [])
  assert.equal(ports.time.entries.size, 0)
  const v6 = addressOf(directory.endpoints[1]?.id ?? '')
  assert.equal(v6?.hostname, '2001:db8::1')
  assert.equal(v6?.address, '2001:db8::1')
})

test('all addresses of a name share the weight of its target', async () => {
  const { directory, show } = open([['https://shop.test', 4], 'http://10.0.0.9'], {
    'shop.test': ['10.0.0.2', '2001:db8::2', '10.0.0.1', '10.0.0.1'],
  })
  await directory.ready()
  assert.deepEqual(
    show().map(line => line.replace('*1.3333333333333333', '*4/3')),
    [
      'https://shop.test:443 10.0.0.1 *4/3',
      'https://shop.test:443 10.0.0.2 *4/3',
      'https://shop.test:443 2001:db8::2 *4/3',
      'http://10.0.0.9:80 10.0.0.9 *1',
    ],
  )
})

test('a target written twice is one endpoint with both weights', () => {
  const { show } = open([
    ['http://10.0.0.7', 2],
    ['http://10.0.0.7:80', 3],
  ])
  assert.deepEqual(show(), ['http://10.0.0.7:80 10.0.0.7 *5'])
})

test('one lookup serves all targets of a name', async () => {
  const { directory, lookups } = open(['http://shop.test:1', 'http://shop.test:2'], { 'shop.test': ['10.0.0.1'] })
  await directory.ready()
  assert.deepEqual(lookups, ['shop.test'])
  assert.equal(directory.endpoints.length, 2)
})

test('a refresh keeps the endpoints that stayed, opens new ones and closes those that are gone', async () => {
  const { directory, ports, answers } = open([['http://shop.test', 6]], { 'shop.test': ['10.0.0.1', '10.0.0.2'] })
  await directory.ready()
  const before = directory.endpoints as readonly FakeEndpoint[]
  answers['shop.test'] = ['10.0.0.4', '10.0.0.2', '10.0.0.3']
  await ports.time.pass(33_000)
  const after = directory.endpoints as readonly FakeEndpoint[]
  assert.notEqual(after, before)
  assert.deepEqual(
    after.map(({ id }) => addressOf(id)?.address),
    ['10.0.0.2', '10.0.0.3', '10.0.0.4'],
  )
  assert.equal(after[0], before[1])
  assert.deepEqual(
    after.map(endpoint => endpoint.weight),
    [2, 2, 2],
  )
  assert.deepEqual(
    before.map(endpoint => endpoint.isClosed),
    [true, false],
  )
})

test('the same addresses in another order change nothing', async () => {
  const { directory, ports, answers, lookups } = open(['http://shop.test'], { 'shop.test': ['10.0.0.1', '10.0.0.2'] })
  await directory.ready()
  const before = directory.endpoints
  answers['shop.test'] = ['10.0.0.2', '10.0.0.1']
  await ports.time.pass(33_000)
  assert.equal(lookups.length, 2)
  assert.equal(directory.endpoints, before)
})

for (const [what, answer] of [
  ['failed', new Error('SERVFAIL')],
  ['empty', []],
] as const) {
  test(`a ${what} refresh keeps the last good addresses and is told once`, async () => {
    const { directory, ports, answers } = open(['http://shop.test'], { 'shop.test': ['10.0.0.1'] })
    await directory.ready()
    const before = directory.endpoints
    answers['shop.test'] = answer
    await ports.time.pass(120_000, 500)
    assert.equal(directory.endpoints, before)
    assert.deepEqual(directory.unresolved, [])
    assert.deepEqual(ports.lines, [
      'warn upstream catalog: the name shop.test does not resolve; its last addresses stay in use until it does',
    ])
    answers['shop.test'] = ['10.0.0.1']
    await ports.time.pass(40_000, 500)
    assert.equal(ports.lines[1], 'info upstream catalog: the name shop.test resolves again')
    assert.equal(ports.lines.length, 2)
    assert.ok((ports.counts['turnpike_upstream_resolve_failures upstream=catalog'] ?? 0) > 3)
  })
}

test('a name that never resolved is tried again after 1, 2, 4, … seconds, up to the refresh', async () => {
  const { directory, ports, lookups, answers } = open(['http://shop.test'], {}, 5000)
  await directory.ready()
  assert.deepEqual(directory.unresolved, ['shop.test'])
  const counts: number[] = []
  for (let second = 0; second < 13; second++) {
    counts.push(lookups.length)
    await ports.time.pass(1000, 250)
  }
  assert.deepEqual(counts, [1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 5])
  assert.match(ports.lines[0] ?? '', /calls to it fail until it does/)
  answers['shop.test'] = ['10.0.0.1']
  await ports.time.pass(5000, 250)
  assert.deepEqual(directory.unresolved, [])
  assert.equal(directory.endpoints.length, 1)
})

test('ready settles after five seconds though a lookup hangs, and no second lookup is made beside it', async () => {
  const { directory, ports, lookups } = open(['http://shop.test'], { 'shop.test': 'never' })
  let isReady = false
  void directory.ready().then(() => {
    isReady = true
  })
  await ports.time.pass(4900, 100)
  assert.equal(isReady, false)
  await ports.time.pass(200, 100)
  assert.equal(isReady, true)
  await ports.time.pass(200_000, 1000)
  assert.equal(lookups.length, 1)
})

test('refreshes are jittered by a tenth', async () => {
  for (const [random, atMs] of [
    [0, 27_000],
    [1, 33_000],
  ] as const) {
    const { directory, ports, lookups } = open(['http://shop.test'], { 'shop.test': ['10.0.0.1'] })
    ports.random = () => random
    await directory.ready()
    await ports.time.pass(atMs - 1)
    assert.equal(lookups.length, 1)
    await ports.time.pass(1)
    assert.equal(lookups.length, 2)
  }
})

test('close closes the endpoints, stops resolving, and ignores a lookup under way', async () => {
  const { directory, ports, answers, lookups } = open(['http://shop.test', 'http://10.0.0.9'], {
    'shop.test': ['10.0.0.1'],
  })
  const endpoints = directory.endpoints as readonly FakeEndpoint[]
  assert.equal(endpoints.length, 1)
  directory.close()
  await directory.ready()
  await settle()
  assert.ok(endpoints.every(endpoint => endpoint.isClosed))
  assert.deepEqual(directory.endpoints, [])
  assert.equal(ports.time.entries.size, 0)
  answers['shop.test'] = ['10.0.0.2']
  await ports.time.pass(60_000, 1000)
  assert.equal(lookups.length, 1)
})
