// The admin server over a real socket: what each path answers, and who is kept out.

import assert from 'node:assert/strict'
import { request } from 'node:http'
import test from 'node:test'
import { startAdmin } from '../../src/control/admin.ts'
import type { Management } from '../../src/control/management.ts'
import { createConfigStore } from '../../src/stores/config/store.ts'
import type { AdminView, Readiness, ReloadOutcome } from '../../src/control/admin-view.ts'

interface State {
  readiness: Readiness
  outcome: ReloadOutcome
  replaced: number[]
  accept: string | undefined
}

interface Got {
  readonly status: number
  readonly headers: NodeJS.Dict<string | string[]>
  readonly text: string
}

/** Not asked for here. */
const management: Management = {
  store: createConfigStore(() => null),
  wall: () => 0,
  makeKey: () => ({ text: '', lookup: '', hint: '' }),
  hashPassword: async () => '',
  publicKey: () => ({ refusal: '', mend: '' }),
}

const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

async function withAdmin(
  run: (
    ask: (method: string, path: string, headers?: Record<string, string>) => Promise<Got>,
    state: State,
  ) => Promise<void>,
  host = '127.0.0.1',
  changes: Partial<AdminView> = {},
): Promise<void> {
  const state: State = {
    readiness: { isReady: true, state: 'serving', reason: '', workersServing: 2, workersExpected: 2 },
    outcome: { result: 'taken', version: 4, problems: [] },
    replaced: [],
    accept: undefined,
  }
  const view: AdminView = {
    metrics: accept => {
      state.accept = accept
      return { contentType: 'text/plain; version=0.0.4', text: 'turnpike_config_version 3\n' }
    },
    readiness: () => state.readiness,
    routes: () => [],
    purge: () => Promise.resolve(0),
    config: () => ({
      version: 3,
      hash: 'abc',
      loadedAt: '2026-11-23T00:00:00.000Z',
      source: 'turnpike.yaml',
      lastReload: null,
    }),
    workers: () => [{ id: 0, state: 'serving', configVersion: 3, startedAt: '2026-11-23T00:00:00.000Z' }],
    upstreams: () => [],
    certificates: () => [],
    reload: async () => state.outcome,
    replaceWorker: async id => {
      state.replaced.push(id)
      return id < 2
    },
    ...changes,
  }
  const admin = await startAdmin({ host, port: 0, view, log, token: null, management })
  const ask = (method: string, path: string, headers: Record<string, string> = {}) =>
    send(admin.port, method, path, headers)
  try {
    await run(ask, state)
  } finally {
    await admin.close()
  }
}

function send(port: number, method: string, path: string, headers: Record<string, string>): Promise<Got> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, method, path, headers, agent: false }, reply => {
      let text = ''
      reply.setEncoding('utf8')
      reply.on('data', (chunk: string) => {
        text += chunk
      })
      reply.on('end', () => resolve({ status: reply.statusCode ?? 0, headers: reply.headers, text }))
    })
    sent.on('error', reject)
    sent.end()
  })
}

test('200: metrics in the format asked for', () =>
  withAdmin(async (ask, state) => {
    const got = await ask('GET', '/metrics?x=1', { accept: 'application/openmetrics-text' })
    assert.equal(got.status, 200)
    assert.equal(got.headers['content-type'], 'text/plain; version=0.0.4')
    assert.equal(got.headers['access-control-allow-origin'], undefined)
    assert.equal(got.text, 'turnpike_config_version 3\n')
    assert.equal(state.accept, 'application/openmetrics-text')
  }))

test('200: HEAD has the length and no body', () =>
  withAdmin(async ask => {
    const got = await ask('HEAD', '/metrics')
    assert.deepEqual([got.status, got.headers['content-length'], got.text], [200, '26', ''])
  }))

test('200: alive while not ready', () =>
  withAdmin(async (ask, state) => {
    state.readiness = { isReady: false, state: 'draining', reason: 'SIGTERM', workersServing: 1, workersExpected: 2 }
    assert.equal((await ask('GET', '/healthz')).status, 200)
    const ready = await ask('GET', '/readyz')
    assert.equal(ready.status, 503)
    assert.deepEqual(JSON.parse(ready.text), state.readiness)
    state.readiness = { ...state.readiness, isReady: true, state: 'serving' }
    assert.equal((await ask('GET', '/readyz')).status, 200)
  }))

test('200: config and workers as JSON', () =>
  withAdmin(async ask => {
    const config = await ask('GET', '/config')
    assert.equal(config.headers['content-type'], 'application/json')
    assert.equal((JSON.parse(config.text) as { version: number }).version, 3)
    assert.equal((JSON.parse((await ask('GET', '/workers')).text) as unknown[]).length, 1)
  }))

test('200 and 422: a reload that was taken, and one that was refused with its problems', () =>
  withAdmin(async (ask, state) => {
    assert.equal((await ask('POST', '/reload')).status, 200)
    state.outcome = { result: 'refused', version: 3, problems: ['turnpike.yaml:3:5 unknown key'] }
    const refused = await ask('POST', '/reload')
    assert.equal(refused.status, 422)
    assert.deepEqual(JSON.parse(refused.text), state.outcome)
  }))

test('200 and 404: a worker is replaced by its id, where there is one', () =>
  withAdmin(async (ask, state) => {
    assert.equal((await ask('POST', '/workers/1/replace')).status, 200)
    assert.equal((await ask('POST', '/workers/7/replace')).status, 404)
    assert.equal((await ask('POST', '/workers/x/replace')).status, 404)
    assert.deepEqual(state.replaced, [1, 7])
  }))

test('404: what is not there', () =>
  withAdmin(async ask => {
    for (const path of ['/', '/metrics/', '/Metrics', '/metrics%2f', '//metrics']) {
      const got = await ask('GET', path)
      assert.equal(got.status, 404, path)
      assert.equal(got.headers['content-type'], 'application/problem+json')
    }
  }))

test('405: with what is allowed', () =>
  withAdmin(async (ask, state) => {
    const got = await ask('DELETE', '/metrics')
    assert.deepEqual([got.status, got.headers.allow], [405, 'GET, HEAD'])
    assert.equal((await ask('GET', '/reload')).headers.allow, 'POST')
    assert.equal((await ask('HEAD', '/workers/1/replace')).status, 405)
    assert.deepEqual(state.replaced, [])
  }))

for (const [host, status] of [
  ['127.0.0.1:9080', 200],
  ['127.0.0.1', 200],
  ['[::1]:9080', 200],
  ['localhost:9080', 200],
  ['LOCALHOST', 200],
  ['evil.test', 421],
  ['evil.test:9080', 421],
  ['127.0.0.1.evil.test', 421],
  ['localhost.evil.test', 421],
  ['[::1].evil.test', 421],
  ['[::1', 421],
] as const) {
  test(`${status}: on loopback, Host "${host}"`, () =>
    withAdmin(async ask => assert.equal((await ask('GET', '/metrics', { host })).status, status)))
}

test('beyond loopback, metrics and health are read by any name, but nothing else is', () =>
  withAdmin(async ask => {
    const host = 'turnpike.monitoring.svc:9080'
    for (const path of ['/metrics', '/healthz', '/readyz']) assert.equal((await ask('GET', path, { host })).status, 200)
    assert.equal((await ask('GET', '/config', { host })).status, 421)
    assert.equal((await ask('POST', '/reload', { host })).status, 421)
  }, '0.0.0.0'))

test('403: a web page from elsewhere cannot reload, one of the admin port itself can', () =>
  withAdmin(async ask => {
    const host = '127.0.0.1:9080'
    assert.equal((await ask('POST', '/reload', { host, origin: 'https://evil.test' })).status, 403)
    assert.equal((await ask('POST', '/reload', { host, origin: 'null' })).status, 403)
    assert.equal((await ask('POST', '/reload', { host, origin: 'http://127.0.0.1:9080' })).status, 200)
  }))

test('500: a view that fails says nothing of why', () => {
  return withAdmin(
    async ask => {
      const got = await ask('POST', '/reload')
      assert.equal(got.status, 500)
      assert.doesNotMatch(got.text, /s3cret/)
    },
    '127.0.0.1',
    { reload: () => Promise.reject(new Error('s3cret')) },
  )
})

test('a port in use is refused with what to do', () =>
  withAdmin(async () => {
    const view = {} as AdminView
    const first = await startAdmin({ host: '127.0.0.1', port: 0, view, log, token: null, management })
    try {
      await assert.rejects(
        startAdmin({ host: '127.0.0.1', port: first.port, view, log, token: null, management }),
        /cannot listen on 127\.0\.0\.1:\d+: another program listens there; choose another admin\.port/,
      )
    } finally {
      await first.close()
    }
  }))
