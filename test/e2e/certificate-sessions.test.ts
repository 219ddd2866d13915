// Sessions of clients with certificates: one is good no longer than what it was begun with, and only where that counts.

import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import tls from 'node:tls'
import { authority, type Certificate, selfSigned } from '../../examples/tls/certificate.ts'
import { Program } from '../tools/program.ts'
import { shortLived } from '../tools/short-lived.ts'

test('a session is good no longer than the certificate that began it, however often it resumes', async () => {
  const root = authority('root')
  const server = selfSigned(['localhost'])
  const secure = { certificates: [{ cert: 'server.pem', key: 'server.key' }] }
  const listeners = ['required', 'optional'].map(mode => {
    return { name: mode, port: 0, host: '127.0.0.1', tls: { ...secure, clientCa: { file: 'root.pem', mode } } }
  })
  await using short = await Program.start(
    { listeners, routes: [{ match: {}, reply: { status: 204 } }] },
    { 'server.pem': server.cert, 'server.key': server.key, 'root.pem': root.cert },
  )
  // Long enough for the handshakes of a slow machine.
  const pair = shortLived(root, 6_000)
  const endMs = Date.parse(new X509Certificate(pair.cert).validTo)
  const chains = (['TLSv1.2', 'TLSv1.3'] as const).flatMap(maxVersion =>
    [0, 1].map(async at => ({ maxVersion, ...(await resumeUntil(endMs, at, pair, { gateway: short, maxVersion })) })),
  )
  for (const { maxVersion, ...outcome } of await Promise.all(chains)) {
    assert.deepEqual(outcome, { before: '204', behind: '' }, maxVersion)
  }
})

test('a session proves nothing on a listener with other authorities, or to one that was begun without', async () => {
  const [one, two] = [authority('one'), authority('two')]
  const server = selfSigned(['localhost'])
  const secure = { certificates: [{ cert: 'server.pem', key: 'server.key' }] }
  const listeners = [{ file: 'one.pem' }, { file: 'two.pem' }, { file: 'two.pem', mode: 'optional' }, null].map(
    clientCa => {
      return { name: `${clientCa?.file} ${clientCa?.mode}`, port: 0, host: '127.0.0.1', tls: { ...secure, clientCa } }
    },
  )
  const policies = [{ 'client-certificate': { unknown: 'accept' } }]
  await using gateway = await Program.start(
    { listeners, routes: [{ match: {}, policies, reply: { status: 204 } }] },
    { 'server.pem': server.cert, 'server.key': server.key, 'one.pem': one.cert, 'two.pem': two.cert },
  )
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    const on = { gateway, maxVersion }
    const answers = async (session: Buffer | undefined) => {
      const all = [0, 1, 2, 3].map(at =>
        call(on, at, { session }).then(
          got => got.status,
          () => '',
        ),
      )
      return Promise.all(all)
    }
    const ofOne = await call(on, 0, shortLived(one, 60_000))
    assert.deepEqual(await answers(ofOne.session), ['204', '', '401', '401'], maxVersion)
    const ofNone = await call(on, 3, {})
    assert.deepEqual(await answers(ofNone.session), ['', '', '401', '401'], maxVersion)
  }
})

/** What a chain of resumed sessions is answered before the certificate's end, and a second behind it. */
async function resumeUntil(endMs: number, listener: number, pair: Certificate, on: On) {
  let { session } = await call(on, listener, pair)
  const again = async () => {
    const next = await call(on, listener, { session }).catch(() => null)
    session = next?.session ?? session
    return next?.isReused === true ? next.status : ''
  }
  const before = await again()
  await pause(endMs + 1_000 - Date.now())
  return { before, behind: await again() }
}

interface On {
  readonly gateway: Program
  readonly maxVersion: tls.SecureVersion
}

/** One call over a connection of its own. Rejects where the handshake fails. */
async function call({ gateway, maxVersion }: On, listener: number, options: tls.ConnectionOptions) {
  const socket = tls.connect({
    ...{ host: '127.0.0.1', port: gateway.portOf(listener), rejectUnauthorized: false, servername: 'localhost' },
    ...{ maxVersion, ...options },
  })
  const sessions: Buffer[] = []
  let text = ''
  socket.on('session', given => sessions.push(given))
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()))
  await once(socket, 'secureConnect')
  socket.on('error', () => {})
  const isReused = socket.isSessionReused()
  socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
  await once(socket, 'close')
  return { isReused, status: text.slice(9, 12), session: sessions.at(-1) }
}
