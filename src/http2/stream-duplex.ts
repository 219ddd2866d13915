// A stream that carries the bytes of a tunnel (RFC 8441), as a Duplex for who joins it to another one.

import { Duplex } from 'node:stream'
import { ErrorCode } from './protocol.ts'
import type { Session } from './session.ts'
import type { Stream, StreamHandler } from './stream.ts'

interface StreamDuplex {
  /** Who takes it destroys it, which resets the stream where it has not ended. */
  readonly duplex: Duplex
  /** To be told of all that comes on the stream from now on. */
  readonly handler: StreamHandler
}

/** A half-close passes both ways; the window of the stream opens as far as the duplex is read. */
export function createStreamDuplex(session: Session, stream: Stream): StreamDuplex {
  let goOn: (() => void) | null = null
  /** Octets that wait in the duplex; the peer may send no more until they were read. */
  let unread = 0
  const release = () => {
    const size = unread
    unread = 0
    if (size > 0) session.consumed(stream, size)
  }
  const duplex = new Duplex({
    read: release,
    write(chunk: Buffer, _, done) {
      if (stream.isClosed || session.outbox.data(stream, chunk)) done()
      else goOn = done
    },
    final(done) {
      session.end(stream, null)
      done()
    },
    destroy(error, done) {
      // Behind a last word of ours, which is to be read, it only says that we want no more (RFC 9113 §8.1).
      session.reset(stream, stream.isLocalEnded ? ErrorCode.noError : ErrorCode.cancel)
      // What nobody will read takes no more of the window of the connection.
      release()
      done(error)
    },
  })
  const handler: StreamHandler = {
    head() {},
    data(chunk) {
      if (duplex.push(chunk)) session.consumed(stream, chunk.length)
      else unread += chunk.length
    },
    ended() {
      duplex.push(null)
    },
    broke() {
      if (stream.isRemoteEnded && !duplex.readableEnded) {
        // All that the peer had to say has come, and is still to be read; what is written to it is lost.
        duplex.once('end', () => duplex.destroy())
        handler.drained()
      } else duplex.destroy()
    },
    drained() {
      const next = goOn
      goOn = null
      next?.()
    },
  }
  return { duplex, handler }
}
