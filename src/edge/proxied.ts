// Takes the PROXY header off the beginning of a connection, before TLS or HTTP see its first byte.

import type { Socket } from 'node:net'
import type { Clock, Deadlines, Timed } from '../core/ports.ts'
import { type ProxiedEnds, readProxyHeader } from '../http/proxy-header.ts'

export interface HeaderWait {
  readonly clock: Clock
  readonly deadlines: Deadlines
  /** For the whole header, from when the connection was accepted. */
  readonly timeoutMs: number
  /** The header is off. The socket is paused; what came behind the header is read from it next. */
  passed(ends: ProxiedEnds | null): void
  /** No header came, or none that is good; the socket is destroyed. Not called where the other end left by itself. */
  refused(problem: string): void
}

export function takeProxyHeader(socket: Socket, wait: HeaderWait): void {
  let held: Buffer | null = null
  const leave = () => {
    wait.deadlines.remove(watch)
    socket.off('data', received)
    socket.off('end', left)
    socket.off('close', leave)
  }
  const refuse = (problem: string) => {
    leave()
    socket.destroy()
    wait.refused(problem)
  }
  const left = () => {
    leave()
    socket.destroy()
  }
  const received = (chunk: Buffer) => {
    const bytes: Buffer = held === null ? chunk : Buffer.concat([held, chunk])
    const header = readProxyHeader(bytes)
    // What is incomplete is bounded by the reader: it has a verdict on everything longer than a header may be.
    if (header.kind === 'incomplete') held = bytes
    else if (header.kind === 'malformed') refuse(header.problem)
    else {
      leave()
      socket.pause()
      if (header.bytes < bytes.length) socket.unshift(bytes.subarray(header.bytes))
      wait.passed(header.ends)
    }
  }
  const watch: Timed = {
    dueMs: wait.clock.now() + wait.timeoutMs,
    slot: -1,
    due: () => refuse('no whole header came in time'),
  }
  wait.deadlines.add(watch)
  socket.on('data', received)
  socket.on('end', left)
  socket.on('close', leave)
}
