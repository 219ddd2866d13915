// Body chunks to the wire: framed, and with the head in front of the first one.

import { chunkStart } from './chunked.ts'

/** What bytes are written to: a socket, or what stands for one. Text is latin1. */
export interface Output {
  write(bytes: Buffer): boolean
  write(text: string, encoding: 'latin1'): boolean
  cork(): void
  uncork(): void
}

/** Chunks up to this size are copied behind their framing: one write of one buffer is cheaper than a gathered write. */
const copiedBytesMax = 16_384

/** Writes one chunk, not empty, behind `head` (empty where it has gone out); false when the output is full. */
export function writeBodyChunk(output: Output, head: string, chunk: Buffer, isChunked: boolean): boolean {
  if (head === '' && !isChunked) return output.write(chunk)
  const start = isChunked ? head + chunkStart(chunk.length) : head
  const tailBytes = isChunked ? 2 : 0
  if (chunk.length <= copiedBytesMax) {
    const bytes = Buffer.allocUnsafe(start.length + chunk.length + tailBytes)
    bytes.write(start, 0, 'latin1')
    bytes.set(chunk, start.length)
    if (tailBytes > 0) bytes.writeUInt16BE(0x0d0a, start.length + chunk.length)
    return output.write(bytes)
  }
  output.cork()
  output.write(start, 'latin1')
  const hasRoom = output.write(chunk)
  if (tailBytes > 0) output.write('\r\n', 'latin1')
  output.uncork()
  return hasRoom
}
