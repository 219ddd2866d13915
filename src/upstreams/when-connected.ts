// Waits until a socket to an upstream is usable, under a deadline.

import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { Failure } from '../core/failure.ts'
import type { Clock, Deadlines, Timed } from '../core/ports.ts'
import { isTlsError } from './dial.ts'

export interface ConnectAttempt {
  readonly scheme: 'http' | 'https'
  /** For log texts. */
  readonly label: string
  readonly clock: Clock
  readonly deadlines: Deadlines
  readonly timeouts: { readonly connect: number }
}

/** Exactly one of the two is called, once. */
export interface ConnectOutcome {
  connected(): void
  failed(error: Error | null): void
}

export function whenConnected(socket: Socket, attempt: ConnectAttempt, then: ConnectOutcome): void {
  const watch: Timed = {
    dueMs: attempt.clock.now() + attempt.timeouts.connect,
    slot: -1,
    due: () => socket.destroy(new Failure('upstream-connect-timeout', { detail: attempt.label, retryable: 'yes' })),
  }
  let error: Error | null = null
  const failed = (thrown: Error) => {
    error = thrown
  }
  const closed = () => {
    attempt.deadlines.remove(watch)
    then.failed(error)
  }
  attempt.deadlines.add(watch)
  socket.on('error', failed)
  socket.on('close', closed)
  socket.once(attempt.scheme === 'https' ? 'secureConnect' : 'connect', () => {
    attempt.deadlines.remove(watch)
    socket.off('error', failed)
    socket.off('close', closed)
    then.connected()
  })
}

/** What a call is told that waited for it. Nobody can have seen the call. */
export function connectFailure({ label, scheme }: ConnectAttempt, error: Error | null): Failure {
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
