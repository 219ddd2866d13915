// One stream of a session: its windows, what waits to be sent on it, and who takes what comes.

import type { Headers } from '../core/headers.ts'
import type { ReplyHead } from '../http/reply.ts'

/** Who takes what comes on a stream. After `ended` only `drained` and `broke` follow, after `broke` nothing. */
export interface StreamHandler {
  /** A reply head, interim ones (1xx) included. Never called on the side that answers. */
  head(head: ReplyHead, isEnd: boolean): void
  /** The chunk is the handler's. What it has passed on it says with `Session.consumed`. */
  data(chunk: Buffer): void
  ended(trailers: Headers | null): void
  /** Reset by the peer or by us, or the connection is gone. `isUnseen`: the peer certainly did nothing with it. */
  broke(code: number, isUnseen: boolean, why: string): void
  /** There is room again after a write that returned false. */
  drained(): void
}

export class Stream {
  readonly id: number
  handler: StreamHandler | null = null
  sendWindow: number
  receiveWindow: number
  /** Octets passed on that the peer was not told of. */
  unacknowledged = 0
  /** Octets of data that went out. */
  sentBytes = 0
  /** Octets that the announced Content-Length still wants; -1 where none was announced. */
  owed = -1
  /** The final head of the reply has come. */
  hasHead = false
  isRemoteEnded = false
  isLocalEnded = false
  isClosed = false
  /** In the table of streams that wait for room. */
  isWaiting = false
  /** Chunks that wait for a window or for the socket; the first begins at `queueStart`. Null for none. */
  queue: Buffer[] | null = null
  queueStart = 0
  /** What ends the stream when the queue is empty; undefined while its end has not been asked for. */
  pendingEnd: Headers | null | undefined = undefined

  constructor(id: number, sendWindow: number, receiveWindow: number) {
    this.id = id
    this.sendWindow = sendWindow
    this.receiveWindow = receiveWindow
  }

  /** Whether something waits to be sent. */
  get isBacklogged(): boolean {
    return this.queue !== null
  }
}
