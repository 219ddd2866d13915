// What keeps callers out, over the wire: throttle, lists that change at run time, bot and body-guard.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ask, codeOf } from '../tools/ask.ts'
import { Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'

const reply = { status: 204 }
const keyText = 'a-key-from-outside-0123'
const consumers = [{ name: 'bolt', credentials: [{ key: '${file:bolt.key}' }] }]
const files = { 'bolt.key': keyText }

test('who guesses keys is throttled on every worker, with the right key as well', async () => {
  const throttle = { failures: '5/1000h', guesses: '1000/1000h' }
  const routes = [{ match: { path: '/' }, policies: [{ throttle }, { 'api-key': {} }], reply }]
  await using program = await Program.start({ workers: 2, consumers, routes }, files)
  const good = { 'x-api-key': keyText }
  for (let i = 0; i < 9; i++) assert.equal((await ask(program.port)).status, 401)
  assert.equal((await ask(program.port, { headers: good })).status, 204)
  for (let i = 0; i < 5; i++) {
    const answer = await ask(program.port, { headers: { 'x-api-key': `guess number ${i}` } })
    assert.equal(answer.status, 401)
    assert.equal(codeOf(answer), 'unauthenticated')
  }
  for (let i = 0; i < 9; i++) {
    const answer = await ask(program.port, { headers: good })
    assert.equal(answer.status, 429)
    assert.equal(codeOf(answer), 'authentication-throttled')
    assert.equal(answer.headers['retry-after'], '60')
  }
  await program.untilTotal('turnpike_ceiling_hits_total', { ceiling: 'throttle' }, 9)
})

test('whoever has many addresses cannot fill the throttle, and then guess uncounted', async () => {
  const throttle = { failures: '5/1000h', guesses: '10/1000h', callers: 12 }
  const routes = [{ match: { path: '/' }, policies: [{ throttle }, { basic: {} }], reply }]
  const listeners = [{ port: 0, host: '127.0.0.1', trustedProxies: ['127.0.0.1'] }]
  await using program = await Program.start({ data: 'state', workers: 2, listeners, consumers, routes }, files)
  let subnet = 0
  const guess = (user: string, from = `2001:db8:0:${(subnet++).toString(16)}::1`) => {
    const authorization = `Basic ${btoa(`${user}:wrong`)}`
    return ask(program.port, { headers: { authorization, 'x-forwarded-for': from } })
  }
  // Three users of one address for each place: whatever is counted of them, nothing is left over.
  for (let i = 0; i < 120; i++) assert.equal((await guess(`nobody${i}`)).status, 401)
  const statuses: number[] = []
  for (let i = 0; i < 40; i++) statuses.push((await guess('victim')).status)
  assert.ok(statuses.includes(429), 'guesses at one user from many addresses were not counted')
  const one: number[] = []
  for (let i = 0; i < 10; i++) one.push((await guess(`user${i}`, '192.0.2.7')).status)
  assert.ok(one.includes(429), 'guesses of one address were not counted')
})

test('lists of denials change at run time, by the admin API', async () => {
  const routes = [
    { match: { path: '/address' }, policies: [{ deny: { by: 'address' } }], reply },
    { match: { path: '/agent' }, policies: [{ deny: { by: 'agent' } }], reply },
    { match: { path: '/consumer' }, policies: [{ 'api-key': {} }, { deny: { by: 'consumer', lists: 'late' } }], reply },
  ]
  await using program = await Program.start({ data: 'state', workers: 2, consumers, routes }, files)
  const headers = { 'x-api-key': keyText, 'user-agent': 'old/1.0' }
  /** Each call has a connection of its own, so that any worker may get it. */
  const everywhere = (path: string, status: number) =>
    until(
      async () => {
        for (let i = 0; i < 10; i++) if ((await ask(program.port, { path, headers })).status !== status) return false
        return true
      },
      () => `every worker to answer ${path} with ${status}`,
      1_000,
    )
  const change = async (method: string, path: string, body?: object) => {
    const done = await program.admin(path, {
      method,
      ...(body !== undefined && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    })
    assert.ok(done.ok, await done.text())
  }
  for (const [path, list, value] of [
    ['/address', 'address', '127.0.0.0/8'],
    ['/agent', 'agent', 'old/1.0'],
    ['/consumer', 'late', 'bolt'],
  ] as const) {
    await everywhere(path, 204)
    await change('POST', `/denials/${list}`, { value })
    await everywhere(path, 403)
    assert.equal(codeOf(await ask(program.port, { path, headers })), 'denied')
    await change('DELETE', `/denials/${list}/${encodeURIComponent(value)}`)
    await everywhere(path, 204)
  }
})

test('scanners are turned away by name, and bad bodies before the upstream sees a byte', async () => {
  const bodies: string[] = []
  await using origin = await Origin.start((_request, response, body) => {
    bodies.push(body.toString())
    response.end()
  })
  const policies = [{ bot: { deny: ['badcrawler'] } }, { 'body-guard': { json: { depth: 3 } } }]
  const routes = [{ match: { path: '/' }, policies, forward: 'app' }]
  await using program = await Program.start({ upstreams: { app: { targets: [origin.url] } }, routes })
  for (const agent of ['sqlmap/1.8 (https://sqlmap.org)', 'Mozilla/5.0 (BadCrawler)']) {
    const answer = await ask(program.port, { headers: { 'user-agent': agent } })
    assert.equal(answer.status, 403, agent)
    assert.equal(codeOf(answer), 'bot-denied')
  }
  for (const [type, body, status] of [
    ['application/json', '{"a":[{}]}', 200],
    ['application/json', '{"a":[{"b":[]}]}', 400],
    ['application/json', '{"a":', 400],
    ['application/xml', '<a>b</a>', 200],
    ['application/xml', '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', 400],
    ['text/plain', 'hello', 415],
  ] as const) {
    const before = bodies.length
    for (const isChunked of [false, true]) {
      const question = { method: 'POST', headers: { 'content-type': type }, body, isChunked }
      assert.equal((await ask(program.port, question)).status, status, body)
    }
    assert.deepEqual(bodies.slice(before), status === 200 ? [body, body] : [])
  }
  assert.equal(origin.calls, 4)
})
