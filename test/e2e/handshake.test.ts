// Connections that never get through their TLS handshake or PROXY header: they count, and nobody waits for them.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import net, { type Socket } from 'node:net'
import tls from 'node:tls'
import { test } from 'node:test'
import { selfSigned } from '../../examples/tls/certificate.ts'
import { Program } from '../tools/program.ts'

const { cert, key } = selfSigned(['one.test'])
const files = { 'one.pem': cert, 'one.key': key }
const certificates = [{ cert: '{folder}/one.pem', key: '{folder}/one.key' }]
const routes = [{ match: { path: '/**' }, reply: { status: 200, body: 'pong' } }]

async function silent(port: number): Promise<Socket> {
  const socket = net.connect(port, '127.0.0.1').on('error', () => {})
  await once(socket, 'connect')
  return socket
}

test('connections in the middle of their handshake count under `limits.connections`', async () => {
  const listeners = [{ port: 0, host: '127.0.0.1', tls: { certificates }, limits: { connections: 2 } }]
  await using program = await Program.start({ listeners, routes }, files)
  const waiting = [await silent(program.port), await silent(program.port)]
  const third = await silent(program.port)
  await once(third, 'close')
  for (const socket of waiting) socket.destroy()
  await program.untilQuiet()
  const welcome = tls.connect({ port: program.port, host: '127.0.0.1', ca: cert, servername: 'one.test' })
  await once(welcome, 'secureConnect')
  welcome.destroy()
})

test('connections that owe a PROXY header count under `limits.connections`', async () => {
  const proxyProtocol = { from: ['127.0.0.1'] }
  const listeners = [{ port: 0, host: '127.0.0.1', proxyProtocol, limits: { connections: 2 } }]
  await using program = await Program.start({ listeners, routes })
  const waiting = [await silent(program.port), await silent(program.port)]
  const third = await silent(program.port)
  await once(third, 'close')
  for (const socket of waiting) socket.destroy()
  await program.untilQuiet()
})

test('SIGTERM waits neither for a handshake nor for a PROXY header', async () => {
  const proxyProtocol = { from: ['127.0.0.1'] }
  const listeners = [
    { port: 0, host: '127.0.0.1', tls: { certificates } },
    { name: 'proxied', port: 0, host: '127.0.0.1', proxyProtocol },
    { name: 'both', port: 0, host: '127.0.0.1', tls: { certificates }, proxyProtocol },
  ]
  await using program = await Program.start({ drain: '20s', listeners, routes }, files)
  // One says nothing, one has half closed: neither is going to say anything.
  const waiting: Socket[] = []
  for (const index of [0, 1, 2]) {
    const port = program.portOf(index)
    waiting.push(await silent(port), (await silent(port)).end())
  }
  const startedMs = performance.now()
  program.signal('SIGTERM')
  assert.equal(await program.exited(), 0)
  // `timeouts.head` is ten seconds.
  assert.ok(performance.now() - startedMs < 9_000, 'it waited for the end of a timeout')
  for (const socket of waiting) socket.destroy()
})
