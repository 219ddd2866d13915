// Reads a server's sockets into one buffer of the worker, past the stream machinery.

import net, { type Socket } from 'node:net'

/** Takes what was read; the bytes are lent until it returns. `false`: read no more for now. */
export type TakeRead = (bytes: Buffer) => boolean | void

/** What `onread` sets in a socket that a program opens itself. */
interface Private {
  readonly _handle?: { readonly useUserBuffer?: (buffer: Buffer) => void } | null
  [key: symbol]: unknown
}

const [bufferKey, callbackKey] = ['kBuffer', 'kBufferCb'].map(name =>
  Object.getOwnPropertySymbols(new net.Socket()).find(symbol => symbol.description === name),
)

/**
 * Has a socket that was just accepted read into `buffer` and hand over each read by `take`. False where that cannot be had (TLS,
 * another Node): then the bytes come as `data` events, in buffers of their own.
 *
 * Hot path: a read costs no buffer and no event then, which is 1 µs of a call. Node offers it as the option `onread`, but to
 * clients only, so that private members are set here (nodejs/node, lib/net.js); we say which Node runs us, and a test tells when
 * it stops working.
 */
export function lendReads(socket: Socket, buffer: Buffer, take: TakeRead): boolean {
  const inside = socket as unknown as Private
  const handle = inside._handle
  if (bufferKey === undefined || callbackKey === undefined || typeof handle?.useUserBuffer !== 'function') return false
  inside[bufferKey] = buffer
  inside[callbackKey] = (size: number) => take(buffer.subarray(0, size))
  handle.useUserBuffer(buffer)
  return true
}
