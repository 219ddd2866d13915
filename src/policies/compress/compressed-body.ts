// A body that is compressed on its way, at the pace of whoever takes it.

import type { Body } from '../../core/body.ts'
import { Failure } from '../../core/failure.ts'
import type { Headers } from '../../core/headers.ts'
import { transformBody } from '../../core/transform-body.ts'
import type { Coder } from './coders.ts'

export interface Compression {
  readonly makeCoder: () => Coder
  /** The body is over, whichever way, after so many bytes went in and came out; told once. */
  readonly over: (bytesIn: number, bytesOut: number) => void
}

/**
 * What the source has sent is brought out as soon as the compressor has nothing more to do, so that an event or a line reaches the
 * client when it was sent. While bytes keep coming nothing is flushed, which would cost compression.
 *
 * The body in whose place it stands is used by it alone.
 */
export function compressBody(body: Body, { makeCoder, over }: Compression): Body {
  /** Null before the body begins to move, and once it is over. */
  let coder: Coder | null = null
  let trailers: Headers | null = null
  let bytesIn = 0
  let bytesOut = 0
  let isComplete = false
  const written = () => {
    if (coder !== null && !isComplete && coder.stream.writableLength === 0) coder.flush()
  }
  return transformBody(
    body,
    {
      start(out) {
        coder = makeCoder()
        const { stream } = coder
        stream.on('data', (chunk: Buffer) => {
          bytesOut += chunk.length
          if (!out.pass(chunk)) stream.pause()
        })
        stream.on('drain', () => out.pull())
        stream.on('end', () => out.finish(trailers))
        stream.on('error', cause => out.cut(new Failure('internal', { detail: 'a reply was not compressed', cause })))
      },
      write(chunk) {
        bytesIn += chunk.length
        return coder?.stream.write(chunk, written) ?? false
      },
      end(given) {
        isComplete = true
        trailers = given
        coder?.stream.end()
      },
      resume() {
        coder?.stream.resume()
      },
      over() {
        coder?.stream.destroy()
        coder = null
        over(bytesIn, bytesOut)
      },
    },
    -1,
  )
}
