// How a store is reached: by TLS with certificates of one's own, and by user and password.

import assert from 'node:assert/strict'
import test from 'node:test'
import { selfSigned } from '../../examples/tls/certificate.ts'
import { Counting, ruleOf } from '../tools/counting.ts'
import { freePort } from '../tools/free-port.ts'
import { noServer, RedisServer } from '../tools/redis.ts'
import { until } from '../tools/until.ts'

const rules = [ruleOf('sliding-window', 100)]

async function reasonOf(counting: Counting): Promise<string> {
  await until(
    () => counting.said.length > 0,
    () => 'the log to say what is wrong',
  )
  assert.equal(counting.link.isAlive, false)
  assert.equal((await counting.store({}).take('key', rules, 1)).fallback, 'closed')
  return counting.said[0]?.reason ?? ''
}

test('TLS: an own authority, the name in the certificate, a certificate of the gateway', {
  skip: noServer,
}, async () => {
  const [own, client, stranger] = [selfSigned(['store.test']), selfSigned(['gateway.test']), selfSigned(['store.test'])]
  const port = await freePort()
  const files = { 'own.pem': own.cert, 'own.key': own.key, 'client.pem': client.cert }
  await using server = await RedisServer.start(
    [
      ...['--tls-port', String(port), '--tls-cert-file', '{folder}/own.pem', '--tls-key-file', '{folder}/own.key'],
      ...['--tls-ca-cert-file', '{folder}/client.pem', '--tls-auth-clients', 'yes'],
    ],
    files,
  )
  const texts = { own: own.cert, stranger: stranger.cert, cert: client.cert, key: client.key }
  const reach = (tls: object, url = `rediss://127.0.0.1:${port}`) =>
    new Counting(
      { url, timeout: 1000, tls: { serverName: 'store.test', ca: 'own', cert: 'cert', key: 'key', ...tls } },
      'a',
      texts,
    )
  await using good = await reach({}).ready()
  assert.equal((await good.store({}).take('key', rules, 1)).fallback, null)
  await using unnamed = reach({ serverName: null })
  assert.match(await reasonOf(unnamed), /does not match certificate/)
  await using distrustful = reach({ ca: 'stranger' })
  assert.match(await reasonOf(distrustful), /certificate/)
  await using unknown = reach({ cert: null, key: null })
  assert.match(await reasonOf(unknown), /certificate required|closed|ECONNRESET/)
  await using plain = reach({}, `redis://127.0.0.1:${port}`)
  assert.match(await reasonOf(plain), /closed|ECONNRESET/)
  await using reversed = reach({}, `rediss://127.0.0.1:${server.port}`)
  assert.match(await reasonOf(reversed), /timed out|ETIMEDOUT|closed|wrong version|ECONNRESET/)
  assert.ok([...unnamed.failures.keys(), ...distrustful.failures.keys()].every(reason => reason === 'tls'))
})

test('user and password: a wrong one is named in the log, and the store counts when it is mended', {
  skip: noServer,
}, async () => {
  await using server = await RedisServer.start()
  // What docs/stores.md says a user needs.
  const rights = ['~test:*', '&test:*', '+evalsha', '+eval', '+time', '+hmget', '+hget', '+hset', '+hdel', '+hkeys']
  const more = ['+pexpire', '+zadd', '+zremrangebyscore', '+zcard', '+publish', '+subscribe', '+hello', '+auth']
  const permits = ['+hgetall', '+zrem', '+zmscore']
  await server.must(
    'ACL',
    'SETUSER',
    'gateway',
    'on',
    '>right',
    'resetkeys',
    'resetchannels',
    '-@all',
    ...rights,
    ...more,
    ...permits,
  )
  const url = server.url.replace('//', '//gateway@')
  await using good = await new Counting({ url, password: 'right', timeout: 400 }).ready()
  for (const mode of ['exact', 'leased'] as const) {
    assert.equal((await good.store({ mode }).take('key', rules, 1)).fallback, null)
    const calls = good.permits({ mode, scope: mode })
    const outcomes = await Promise.all([calls.take('key', 1), calls.take('key', 1)])
    assert.ok(outcomes.every(({ fallback }) => fallback === null))
  }
  await good.settle()
  assert.equal(good.failures.size, 0)
  await using wrong = new Counting({ url, password: 'wrong', timeout: 400 })
  assert.match(await reasonOf(wrong), /^WRONGPASS /)
  assert.ok(wrong.failures.has('wrongpass'))
  await server.must('ACL', 'SETUSER', 'gateway', '>wrong')
  await wrong.ready()
  await server.must('ACL', 'SETUSER', 'default', 'resetpass', '>secret')
  await using anonymous = new Counting({ url: server.url, timeout: 400 })
  assert.match(await reasonOf(anonymous), /^NOAUTH /)
})
