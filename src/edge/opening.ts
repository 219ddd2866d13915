// Looks at the first bytes on a TLS port before TLS does, which could not tell a client that speaks plain HTTP what is wrong.

import type { Socket } from 'node:net'
import type { Clock, Deadlines, Timed } from '../core/ports.ts'

export interface OpeningWait {
  readonly clock: Clock
  readonly deadlines: Deadlines
  /** For the first bytes, from when they could be read. */
  readonly timeoutMs: number
  /** A request of plain HTTP has begun. The socket is paused; what came of the request is thrown away. */
  http(): void
  /** A handshake, or nothing that we know. The socket is paused; what came is read from it next. */
  other(): void
  /** Too little came. The socket is destroyed. */
  lost(reason: 'timeout' | 'closed'): void
}

export function readOpening(socket: Socket, wait: OpeningWait): void {
  let held: Buffer | null = null
  const leave = () => {
    wait.deadlines.remove(watch)
    socket.off('data', received)
    socket.off('close', closed)
  }
  const received = (chunk: Buffer) => {
    const bytes: Buffer = held === null ? chunk : Buffer.concat([held, chunk])
    const kind = kindOf(bytes)
    if (kind === 'incomplete') {
      held = bytes
      return
    }
    leave()
    socket.pause()
    if (kind === 'http') return wait.http()
    socket.unshift(bytes)
    wait.other()
  }
  const closed = () => {
    leave()
    wait.lost('closed')
  }
  const watch: Timed = {
    dueMs: wait.clock.now() + wait.timeoutMs,
    slot: -1,
    due() {
      leave()
      socket.destroy()
      wait.lost('timeout')
    },
  }
  wait.deadlines.add(watch)
  socket.on('data', received)
  socket.on('close', closed)
}

const [letterA, letterZ] = [0x41, 0x5a]
/** The longest method that is registered has 17 letters. */
const methodMax = 24
const letters = /^[A-Z][A-Z-]*$/
const method = /^[A-Z][A-Z-]+ $/
/** HTTP/2 without asking, whose client could not read the answer; and what a PROXY header that nobody expects begins with. */
const noMethods: readonly string[] = ['PRI ', 'PROXY ']

/** Incomplete for `methodMax` bytes at most. A record of TLS begins with 0x16, so that it is told by its first byte. */
export function kindOf(bytes: Buffer): 'http' | 'other' | 'incomplete' {
  const first = bytes[0] ?? 0
  if (first < letterA || first > letterZ) return 'other'
  const begin = bytes.toString('latin1', 0, methodMax + 1)
  const space = begin.indexOf(' ')
  if (space === -1) return begin.length <= methodMax && letters.test(begin) ? 'incomplete' : 'other'
  const word = begin.slice(0, space + 1)
  return method.test(word) && !noMethods.includes(word) ? 'http' : 'other'
}
