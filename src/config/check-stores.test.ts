import assert from 'node:assert/strict'
import test from 'node:test'
import { loadLanguage } from '../threads/language.ts'
import { resolve } from './resolve.ts'

async function messagesOf(stores: object, store = 'shared'): Promise<string[]> {
  const policies = [{ 'rate-limit': { limit: '5/s', store } }]
  const text = JSON.stringify({ stores, routes: [{ match: { path: '/a' }, policies, reply: { body: 'ok' } }] })
  const surroundings = { env: {}, readText: () => '' }
  const outcome = resolve({
    sources: [{ path: '/c.json', text, label: 'c.json' }],
    language: await loadLanguage([]),
    surroundings,
  })
  return outcome.ok ? [] : outcome.problems.map(({ message, hint }) => `${message} ${hint}`)
}

test('a store that a limit names must be there', async () => {
  assert.deepEqual(await messagesOf({ shared: { url: 'redis://10.0.0.1' } }), [])
  const [message = ''] = await messagesOf({ shared: { url: 'redis://10.0.0.1' } }, 'shard')
  assert.match(message, /there is no store `shard`.*`shared`/)
})

test('a password in the URL is said to be one, and where it belongs', async () => {
  const [message = ''] = await messagesOf({ shared: { url: 'redis://:hush@10.0.0.1' } })
  assert.match(message, /^a password stands in the `url` of the store `shared` .*`password: "\$\{env:NAME\}"`/)
})

test('a store is reached by a URL of its kind or by sentinels, and no message repeats a password', async () => {
  assert.deepEqual(await messagesOf({ shared: { sentinels: ['10.0.0.1:26379', '[::1]'], master: 'main' } }), [])
  for (const store of [
    {},
    { url: 'http://user:hush@10.0.0.1' },
    { url: 'hush' },
    { url: 'redis://:hush@10.0.0.1' },
    { url: 'redis://10.0.0.1/one' },
    { url: 'redis://10.0.0.1', sentinels: ['10.0.0.1'], master: 'main' },
    { sentinels: ['10.0.0.1'] },
    { sentinels: ['redis://10.0.0.1'], master: 'main' },
    { url: 'redis://10.0.0.1', tls: { serverName: 'store.test' } },
    { url: 'rediss://10.0.0.1', tls: { cert: 'a.pem' } },
  ]) {
    const messages = await messagesOf({ shared: store })
    assert.equal(messages.length, 1, JSON.stringify(store))
    assert.doesNotMatch(messages.join(), /hush/)
  }
})
