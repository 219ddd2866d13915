// The compressors of zlib, with windows small enough that hundreds of them fit into memory.

import type { Transform } from 'node:stream'
import zlib from 'node:zlib'

export const codings = ['zstd', 'br', 'gzip'] as const
export type Coding = (typeof codings)[number]

export interface Levels {
  readonly gzip: number
  readonly br: number
  readonly zstd: number
}

/** One compressor at work. */
export interface Coder {
  readonly stream: Transform
  /** Brings out all that was written so far, and loses nothing of what was learnt about the text. */
  flush(): void
}

const { constants } = zlib

/**
 * 2^18 bytes. The widest window would take brotli and zstd some megabytes for each reply that a slow client holds open, and gains
 * little on what an API answers.
 */
const windowBits = 18
/** Of output; what is waiting for the client then holds back the source. */
const chunkBytes = 16_384

/** A maker of compressors at these levels. Each works in the thread pool, not in the event loop. */
export function createCoders(levels: Levels): Readonly<Record<Coding, () => Coder>> {
  const shared = { chunkSize: chunkBytes, writableHighWaterMark: 65_536, readableHighWaterMark: chunkBytes }
  const { BROTLI_PARAM_QUALITY: quality, BROTLI_PARAM_LGWIN: window } = constants
  const { ZSTD_c_compressionLevel: level, ZSTD_c_windowLog: windowLog } = constants
  return {
    gzip: () => coder(zlib.createGzip({ ...shared, level: levels.gzip }), constants.Z_SYNC_FLUSH),
    br: () =>
      coder(
        zlib.createBrotliCompress({ ...shared, params: { [quality]: levels.br, [window]: windowBits } }),
        constants.BROTLI_OPERATION_FLUSH,
      ),
    zstd: () =>
      coder(
        zlib.createZstdCompress({ ...shared, params: { [level]: levels.zstd, [windowLog]: windowBits } }),
        constants.ZSTD_e_flush,
      ),
  }
}

/** The kind is always said: zlib's own default forgets the text before (gzip), or ends the frame (zstd). */
function coder(stream: Transform & { flush(kind: number): void }, flushKind: number): Coder {
  return { stream, flush: () => stream.flush(flushKind) }
}
