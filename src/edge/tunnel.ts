// An upgraded connection: bytes both ways between two sockets, under back-pressure, until one side is done.

import type { Duplex } from 'node:stream'
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
 * Joins the two sides. A half-close is passed on; an error on one side ends the other, an orderly close behind all that was said before. `onClose` is called once, with the
 * number of bytes moved each way.
 */
export function spliceTunnel(
  client: Duplex,
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
  const toClient = (bytes: number) => {
    moved.toClient += bytes
    touch()
  }
  const fromClient = (bytes: number) => {
    moved.fromClient += bytes
    touch()
  }
  pipeOneWay(upstream, client, tunnel.head, toClient)
  pipeOneWay(client, upstream, early, fromClient)
  const closed = (gone: Duplex, other: Duplex) => {
    // What one side has said before it closed in order, the other is still to get.
    if (gone.readableEnded && !other.writableFinished && !other.destroyed) other.once('finish', close)
    else close()
  }
  client.on('close', () => closed(client, upstream))
  upstream.on('close', () => closed(upstream, client))
  for (const socket of [client, upstream]) {
    socket.on('error', close)
    socket.resume()
  }
  // It may have closed while policies looked at the reply.
  if (client.destroyed || upstream.destroyed) close()
}

/** `early` goes first. `count` is told the size of each piece. */
function pipeOneWay(from: Duplex, to: Duplex, early: Buffer | null, count: (bytes: number) => void): void {
  if (early !== null && early.length > 0) {
    count(early.length)
    to.write(early)
  }
  from.on('data', (chunk: Buffer) => {
    count(chunk.length)
    if (!to.write(chunk)) from.pause()
  })
  to.on('drain', () => from.resume())
  from.on('end', () => to.end())
}
