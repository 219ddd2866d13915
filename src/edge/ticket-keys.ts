// Keys of TLS session tickets: in memory that all workers share, the one before still good, changed by the main thread alone.

import { randomFillSync } from 'node:crypto'
import type tls from 'node:tls'

/** The number of the current key, then the keys in a ring; shared by all threads of a gateway. */
export type TicketMemory = SharedArrayBuffer

/** RFC 5077 §4: what a ticket names its key by, then a key for its MAC and one for its content. */
const partBytes = 16
const keyBytes = 3 * partBytes
/** The current key, the one before, and the place that the next one is written to while nobody reads it. */
const places = 3
const headBytes = 4
const nonceBytes = 16

export function createTicketMemory(): TicketMemory {
  const memory = new SharedArrayBuffer(headBytes + places * keyBytes)
  randomFillSync(new Uint8Array(memory, headBytes))
  return memory
}

/** Makes a new key the current one, on every worker in the same moment. Tickets of the current one stay good, older ones do not. */
export function rotateTicketKeys(memory: TicketMemory): void {
  const head = new Int32Array(memory, 0, 1)
  const next = (Atomics.load(head, 0) + 1) % places
  randomFillSync(keyAt(memory, next))
  Atomics.store(head, 0, next)
}

/**
 * What OpenSSL is answered when it asks for a key: 0 for none, 1 for one to make a ticket by, 2 for one that opens a ticket. A
 * client is given another ticket for each that it shows: one that is shown twice lets connections be told to be of one client
 * (RFC 8446 §C.4).
 */
export type TicketAnswer = readonly [code: 0 | 1 | 2, mac: Buffer, content: Buffer, name?: Buffer, nonce?: Buffer]

/** Answers for tickets to be made (`isNew`) and for tickets that a client shows, by the name of their key. */
export function ticketAnswer(memory: TicketMemory, name: Uint8Array, isNew: boolean): TicketAnswer {
  const current = Atomics.load(new Int32Array(memory, 0, 1), 0)
  const key = keyAt(memory, current)
  if (isNew) return [1, part(key, 1), part(key, 2), part(key, 0), randomFillSync(Buffer.alloc(nonceBytes))]
  if (part(key, 0).equals(name)) return [2, part(key, 1), part(key, 2)]
  const before = keyAt(memory, (current + places - 1) % places)
  if (part(before, 0).equals(name)) return [2, part(before, 1), part(before, 2)]
  return [0, Buffer.alloc(partBytes), Buffer.alloc(partBytes)]
}

/**
 * Makes a server take its keys from the memory; to be called again after its context was set anew.
 *
 * Node's `ticketKeys` knows one key, so that a rotation would end every session. OpenSSL's callback knows as many as one
 * likes; Node hands it out on its native context, but names it nowhere in its manual. A Node that has it no more serves with
 * the current key alone until the context is next set.
 */
export function useTicketKeys(server: tls.Server, memory: TicketMemory): void {
  const context: unknown = Reflect.get(Object(Reflect.get(server, '_sharedCreds')), 'context')
  if (!hasCallback(context)) {
    server.setTicketKeys(Buffer.from(keyAt(memory, Atomics.load(new Int32Array(memory, 0, 1), 0))))
    return
  }
  context.onticketkeycallback = (name, _, isNew) => ticketAnswer(memory, name, isNew)
  context.enableTicketKeyCallback()
}

interface WithCallback {
  onticketkeycallback(name: Uint8Array, nonce: Uint8Array, isNew: boolean): TicketAnswer
  enableTicketKeyCallback(): void
}

function hasCallback(context: unknown): context is WithCallback {
  return typeof Reflect.get(Object(context), 'enableTicketKeyCallback') === 'function'
}

function keyAt(memory: TicketMemory, place: number): Buffer {
  return Buffer.from(memory, headBytes + place * keyBytes, keyBytes)
}

/** A copy: OpenSSL reads it after the answer, and the place may be written anew. */
function part(key: Buffer, index: number): Buffer {
  return Buffer.from(key.subarray(index * partBytes, (index + 1) * partBytes))
}
