// The policy `external` against a real service: what it is told, what its answers do, and what happens when it is away.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { Program } from '../tools/program.ts'

type Handler = (request: http.IncomingMessage, response: http.ServerResponse) => void

async function serve(handler: Handler): Promise<{ server: http.Server; port: number }> {
  const server = http.createServer(handler)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { server, port: (server.address() as AddressInfo).port }
}

test('the service decides; while it is slow, talks garbage or is away, nothing passes but where told to', async () => {
  let mode = 'well'
  let asked = 0
  const access = await serve((request, response) => {
    asked++
    if (mode === 'slow') return
    if (mode === 'garbage') request.socket.end('nonsense\r\n\r\n')
    else if (request.headers.authorization === undefined) {
      response.writeHead(401, { 'www-authenticate': 'Bearer realm="api"', 'x-inner': 'a' }).end('who are you?')
    } else response.writeHead(200, { 'x-user': `alice of ${String(request.headers['x-forwarded-uri'])}` }).end()
  })
  const origin = await serve((request, response) => {
    const { 'x-user': user = '', 'x-access-unchecked': unchecked = '' } = request.headers
    response.end(JSON.stringify({ user, unchecked }))
  })
  const options = { url: `http://127.0.0.1:${access.port}/check`, upstreamHeaders: 'x-user' }
  const route = (path: string, more: object) => ({
    match: { path },
    policies: [{ external: { ...options, ...more } }],
    forward: 'origin',
  })
  const program = await Program.start({
    upstreams: { origin: { targets: [`http://127.0.0.1:${origin.port}`] } },
    routes: [
      // The first answer may take longer while the program is still warming up.
      route('/closed', { timeout: '1s' }),
      route('/open', { timeout: '1s', onFailure: 'open' }),
      route('/kept', { timeout: '1s', cache: { key: '{path}', ttl: '1h' } }),
    ],
  })
  try {
    const ask = (path: string, headers: Record<string, string> = { authorization: 'Bearer a' }) =>
      fetch(`${program.url}${path}`, { headers: { ...headers, 'x-user': 'root', 'x-access-unchecked': '' } })
    assert.deepEqual(await (await ask('/closed?a')).json(), { user: 'alice of /closed?a', unchecked: '' })
    const denied = await ask('/closed', {})
    assert.deepEqual(
      [denied.status, denied.headers.get('www-authenticate'), denied.headers.get('x-inner'), await denied.text()],
      [401, 'Bearer realm="api"', null, 'who are you?'],
    )
    const before = asked
    for (let i = 0; i < 3; i++) assert.equal((await ask('/kept')).status, 200)
    assert.equal(asked, before + 1)
    for (mode of ['slow', 'garbage', 'away']) {
      if (mode === 'away') {
        access.server.closeAllConnections()
        access.server.close()
      }
      const closed = await ask('/closed')
      assert.equal(closed.status, 503, mode)
      assert.equal(((await closed.json()) as { code: string }).code, 'access-unavailable')
      assert.deepEqual(await (await ask('/open')).json(), { user: '', unchecked: '1' }, mode)
      assert.equal((await ask('/kept')).status, 200)
    }
    await program.untilTotal('turnpike_external_unchecked_total', {}, 3)
  } finally {
    await program.stop()
    for (const { server } of [access, origin]) {
      server.closeAllConnections()
      server.close()
    }
  }
})
