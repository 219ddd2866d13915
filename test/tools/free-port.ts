// A port for those who must know it before they listen.

import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'

/** A port of the loopback address that was free a moment ago, and that nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** A port of the loopback address that refuses connections until this process ends: the near end of a connection has it. */
export async function refusingPort(): Promise<number> {
  const server = net.createServer(socket => socket.unref()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = net.connect((server.address() as AddressInfo).port, '127.0.0.1')
  await once(client, 'connect')
  client.unref()
  server.unref()
  return client.localPort ?? 0
}
