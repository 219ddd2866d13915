// The chunked transfer coding (RFC 9112 §7.1): incremental decoder and encoder.

import { Headers } from '../core/headers.ts'
import { type FieldFacts, readFields } from './fields.ts'
import { isForwardingKey } from './names.ts'
import { CR, LF, tokenOctets } from './octets.ts'

/** What a decoder tells as it reads. */
export interface ChunkedEvents {
  /** A piece of the body. The decoder goes on until its input ends, whatever the taker thinks of it. */
  bodyChunk(chunk: Buffer): void
}

const State = {
  size: 0,
  extension: 1,
  quoted: 2,
  quotedPair: 3,
  sizeLf: 4,
  data: 5,
  dataCr: 6,
  dataLf: 7,
  trailer: 8,
  done: 9,
} as const

/** Thirteen hexadecimal digits stay below 2^52: exact in a number, and more than anyone sends. */
const sizeDigitsMax = 13
/** Extension octets of one chunk; the many are dropped, so they are but a way to burn our time (CVE-2023-39326). */
const extensionBytesMax = 256
const trailerBytesMax = 8192
const trailerFieldsMax = 32

/** Decodes one body. Bad input is returned as a text, so that each side can make its own Failure of it. */
export class ChunkedDecoder {
  #state: number = State.size
  #size = 0
  #sizeDigits = 0
  #extensionBytes = 0
  #extensionWanted = false
  /** Octets of extensions and superfluous zeros over the whole body. */
  #overhead = 0
  #trailer: Buffer[] = []
  #trailerBytes = 0
  #lineLength = 0
  #previous = 0
  /** Trailer fields, once done; null when there were none. */
  trailers: Headers | null = null
  problem: string | null = null

  get isDone(): boolean {
    return this.#state === State.done
  }

  /** Reads from `from` on, keeping nothing of the chunk; returns how far it came: the end of the body, or of the chunk. Look at `problem` after it. */
  read(chunk: Buffer, from: number, events: ChunkedEvents): number {
    let i = from
    while (i < chunk.length && this.#state !== State.done && this.problem === null) {
      if (this.#state === State.data) {
        const end = Math.min(chunk.length, i + this.#size)
        this.#size -= end - i
        if (this.#size === 0) this.#state = State.dataCr
        const piece = i === 0 && end === chunk.length ? chunk : chunk.subarray(i, end)
        i = end
        events.bodyChunk(piece)
      } else if (this.#state === State.trailer) i = this.#readTrailer(chunk, i)
      else this.#readControl(chunk[i++] as number)
    }
    return i
  }

  #readControl(octet: number): void {
    switch (this.#state) {
      case State.size:
        return this.#readSize(octet)
      case State.extension:
      case State.quoted:
      case State.quotedPair:
        return this.#readExtension(octet)
      case State.sizeLf:
        if (octet !== LF) return this.#refuse('bare CR behind a chunk size')
        return this.#startChunk()
      case State.dataCr:
        this.#state = State.dataLf
        if (octet !== CR) this.#refuse('chunk longer than its size')
        return
      default:
        if (octet !== LF) return this.#refuse('chunk longer than its size')
        this.#state = State.size
        this.#size = 0
        this.#sizeDigits = 0
        this.#extensionBytes = 0
    }
  }

  #readSize(octet: number): void {
    const digit = hexDigit(octet)
    if (digit !== -1) {
      if (++this.#sizeDigits > sizeDigitsMax) return this.#refuse('chunk size too large')
      this.#size = this.#size * 16 + digit
    } else if (this.#sizeDigits === 0) this.#refuse('malformed chunk size')
    else if (octet === CR) this.#state = State.sizeLf
    else if (octet === 59) {
      this.#state = State.extension
      this.#extensionWanted = true
    } else this.#refuse('malformed chunk size')
  }

  /** `;name`, `;name=token`, `;name="quoted"`, without white space: read to be checked, then dropped. */
  #readExtension(octet: number): void {
    if (++this.#extensionBytes > extensionBytesMax) return this.#refuse('chunk extension too long')
    if (++this.#overhead > 64 * extensionBytesMax) return this.#refuse('too many chunk extensions')
    if (this.#state === State.quotedPair) {
      if (octet < 32 || octet === 127) this.#refuse('malformed chunk extension')
      this.#state = State.quoted
    } else if (this.#state === State.quoted) {
      if (octet === 34) this.#state = State.extension
      else if (octet === 92) this.#state = State.quotedPair
      else if ((octet < 32 && octet !== 9) || octet === 127) this.#refuse('malformed chunk extension')
      this.#previous = 34
    } else this.#readExtensionOctet(octet)
  }

  #readExtensionOctet(octet: number): void {
    const closedQuote = this.#previous === 34
    if (octet === CR && !this.#extensionWanted) {
      this.#state = State.sizeLf
      this.#previous = 0
    } else if (octet === 59 && !this.#extensionWanted) {
      this.#extensionWanted = true
      this.#previous = 0
    } else if (octet === 61 && !this.#extensionWanted && this.#previous !== 61 && !closedQuote) {
      this.#extensionWanted = true
      this.#previous = 61
    } else if (octet === 34 && this.#previous === 61 && this.#extensionWanted) {
      this.#extensionWanted = false
      this.#state = State.quoted
    } else if (tokenOctets[octet] === 1 && !closedQuote) this.#extensionWanted = false
    else this.#refuse('malformed chunk extension')
  }

  #startChunk(): void {
    if (this.#size > 0) this.#state = State.data
    else {
      this.#state = State.trailer
      this.#lineLength = 0
    }
  }

  /** Collects the trailer section up to its empty line. */
  #readTrailer(chunk: Buffer, from: number): number {
    for (let i = from; i < chunk.length; i++) {
      const octet = chunk[i]
      if (octet === LF) {
        if (this.#previous !== CR) return this.#refuseAt('bare LF in trailers', i + 1)
        this.#previous = 0
        if (this.#lineLength === 1) return this.#finish(chunk, from, i + 1)
        this.#lineLength = 0
      } else {
        if (this.#previous === CR) return this.#refuseAt('bare CR in trailers', i + 1)
        this.#previous = octet === CR ? CR : 0
        this.#lineLength++
      }
    }
    this.#collect(chunk.subarray(from))
    return chunk.length
  }

  #finish(chunk: Buffer, from: number, end: number): number {
    this.#collect(chunk.subarray(from, end))
    if (this.problem !== null) return end
    this.#state = State.done
    if (this.#trailerBytes > 2) this.#parseTrailers(Buffer.concat(this.#trailer))
    return end
  }

  #collect(piece: Buffer): void {
    this.#trailerBytes += piece.length
    if (this.#trailerBytes > trailerBytesMax) this.#refuse('trailers too large')
    else this.#trailer.push(Buffer.from(piece))
  }

  #parseTrailers(bytes: Buffer): void {
    const facts = trailerFacts()
    const text = bytes.toString('latin1')
    const problem = readFields(bytes, text, 0, 0, bytes.length - 2, trailerFieldsMax, facts)
    if (problem !== null) return this.#refuse(`trailers: ${problem}`)
    if (facts.contentLength !== -1 || facts.transferEncoding !== '') return this.#refuse('framing field in trailers')
    dropFromTrailers(facts.headers)
    if (facts.headers.size > 0) this.trailers = facts.headers
  }

  #refuse(problem: string): void {
    this.problem = problem
  }

  #refuseAt(problem: string, at: number): number {
    this.problem = problem
    return at
  }
}

/** Takes out what may not come late. */
export function dropFromTrailers({ list }: Headers): void {
  for (let i = list.length - 2; i > 0; i -= 3) {
    const key = list[i] as string
    if (isForwardingKey(key) || forbiddenInTrailers.has(key)) list.splice(i - 1, 3)
  }
}

/** RFC 9110 §6.5.1: fields that say how a message is framed, routed, authenticated or read may not come late. */
const forbiddenInTrailers: ReadonlySet<string> = new Set(
  `host authorization cookie set-cookie content-encoding content-type content-range cache-control
max-forwards range if-match if-none-match if-modified-since if-unmodified-since if-range www-authenticate
proxy-authenticate proxy-authorization age date expires location retry-after vary`.split(/\s+/),
)

function trailerFacts(): FieldFacts {
  return {
    headers: new Headers(),
    host: '',
    hostCount: 0,
    contentLength: -1,
    transferEncoding: '',
    keepsAlive: true,
    connectionUpgrade: false,
    upgrade: '',
    expect: '',
    acceptsTrailers: false,
    hasForwarding: false,
  }
}

function hexDigit(octet: number): number {
  if (octet >= 48 && octet <= 57) return octet - 48
  const letter = octet | 32
  return letter >= 97 && letter <= 102 ? letter - 87 : -1
}

/** The line before a chunk of this many bytes. */
export function chunkStart(size: number): string {
  return `${size.toString(16)}\r\n`
}

/** The last chunk with the trailer section. */
export function lastChunk(trailers: Headers | null): string {
  if (trailers === null) return '0\r\n\r\n'
  let text = '0\r\n'
  const list = trailers.list
  for (let i = 0; i < list.length; i += 3) text += `${list[i]}: ${list[i + 2]}\r\n`
  return `${text}\r\n`
}
