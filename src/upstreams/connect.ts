// Waits until a socket to an upstream is usable, under a deadline.

import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { Failure } from '../core/failure.ts'
import type { Clock, Deadlines, Timed } from '../core/ports.ts'
import { isTlsError } from './dial.ts'

export interface Opening {
  readonly scheme: 'http' | 'https'
  /** For log texts. */
  readonly label: string
  readonly clock: Clock
  readonly deadlines: Deadlines
  readonly timeouts: { readonly connect: number }
}

/** Exactly one of the two is called, once. */
export interface Opened {
  connected(): void
  failed(error: Error | null): void
}

export function open(socket: Socket, opening: Opening, then: Opened): void {
  const watch: Timed = {
    dueMs: opening.clock.now() + opening.timeouts.connect,
    slot: -1,
    due: () => socket.destroy(new Failure('upstream-connect-timeout', { detail: opening.label, retryable: 'yes' })),
  }
  let error: Error | null = null
  const failed = (thrown: Error) => {
    error = thrown
  }
  const closed = () => {
    opening.deadlines.remove(watch)
    then.failed(error)
  }
  opening.deadlines.add(watch)
  socket.on('error', failed)
  socket.on('close', closed)
  socket.once(opening.scheme === 'https' ? 'secureConnect' : 'connect', () => {
    opening.deadlines.remove(watch)
    socket.off('error', failed)
    socket.off('close', closed)
    then.connected()
  })
}

/** What a call is told that waited for it. Nobody can have seen the call. */
export function connectFailure({ label, scheme }: Opening, error: Error | null): Failure {
  if (error instanceof Failure) return error
  const detail = `${label}: ${error?.message ?? 'closed while connecting'}`
  const isTls = scheme === 'https' && isTlsError(error)
  return new Failure(isTls ? 'upstream-tls-failed' : 'upstream-connect-failed', {
    detail,
    cause: error,
    retryable: 'yes',
  })
}

/** What was agreed on by ALPN; empty without TLS, and where the server does not know of it. */
export function agreedProtocol(socket: Socket): string {
  return socket instanceof TLSSocket && typeof socket.alpnProtocol === 'string' ? socket.alpnProtocol : ''
}
