// An upgraded connection: bytes both ways between two sockets, under back-pressure, until one side is done.

import type { Socket } from 'node:net'
import type { Deadlines, Timed } from '../core/ports.ts'
import type { Tunnel } from '../core/reply.ts'

export interface TunnelPorts {
  readonly clock: { now(): number }
  readonly deadlines: Deadlines
  /** Milliseconds without a byte in either direction after which a tunnel is closed. */
  readonly tunnelIdleMs: number
}

export interface Moved {
  fromClient: number
  toClient: number
}

/**
 * Joins the two sockets. A half-close is passed on; an error on one side ends the other. `onClose` is called once, with the
 * number of bytes moved each way.
 */
export function spliceTunnel(
  client: Socket,
  early: Buffer | null,
  tunnel: Tunnel,
  ports: TunnelPorts,
  onClose: (moved: Moved) => void,
): void {
  const upstream = tunnel.socket
  const moved: Moved = { fromClient: 0, toClient: 0 }
  const watch: Timed = { dueMs: 0, slot: -1, due: () => close() }
  const touch = () => {
    watch.dueMs = ports.clock.now() + ports.tunnelIdleMs
  }
  let isClosed = false
  const close = () => {
    if (isClosed) return
    isClosed = true
    ports.deadlines.remove(watch)
    client.destroy()
    upstream.destroy()
    onClose(moved)
  }
  touch()
  ports.deadlines.add(watch)
  if (tunnel.head.length > 0) {
    moved.toClient += tunnel.head.length
    client.write(tunnel.head)
  }
  if (early !== null && early.length > 0) {
    moved.fromClient += early.length
    upstream.write(early)
  }
  client.on('data', (chunk: Buffer) => {
    moved.fromClient += chunk.length
    touch()
    if (!upstream.write(chunk)) client.pause()
  })
  upstream.on('data', (chunk: Buffer) => {
    moved.toClient += chunk.length
    touch()
    if (!client.write(chunk)) upstream.pause()
  })
  client.on('drain', () => upstream.resume())
  upstream.on('drain', () => client.resume())
  client.on('end', () => upstream.end())
  upstream.on('end', () => client.end())
  for (const socket of [client, upstream]) {
    socket.on('error', close)
    socket.on('close', close)
  }
  client.resume()
  upstream.resume()
}
