// Stand-ins for the tests of this folder: frames by hand, and sessions that write into memory.

import type { Headers } from '../core/headers.ts'
import type { Failure } from '../core/failure.ts'
import type { ReplyHead } from '../http/reply.ts'
import { WriteBatch } from '../http/write-batch.ts'
import { HpackEncoder } from './hpack-encoder.ts'
import { Flag, FrameType, preface } from './protocol.ts'
import type { RequestHead } from '../http/request.ts'
import { Session, type SessionOptions, type SessionOwner } from './session.ts'
import { SharedMemory } from './shared-memory.ts'
import type { Stream, StreamHandler } from './stream.ts'

export interface Frame {
  readonly type: number
  readonly flags: number
  readonly streamId: number
  readonly payload: Buffer
}

/** A frame as bytes. */
export function frame(type: number, flags: number, streamId: number, payload: Buffer | string = ''): Buffer {
  const body = typeof payload === 'string' ? Buffer.from(payload.replace(/\s+/g, ''), 'hex') : payload
  const head = Buffer.alloc(9)
  head.writeUIntBE(body.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(streamId, 5)
  return Buffer.concat([head, body])
}

function readFrames(bytes: Buffer): Frame[] {
  const frames: Frame[] = []
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUIntBE(at, 3)
    const streamId = bytes.readUInt32BE(at + 5)
    const payload = bytes.subarray(at + 9, at + 9 + length)
    frames.push({ type: bytes[at + 3] ?? 0, flags: bytes[at + 4] ?? 0, streamId, payload })
    at += 9 + length
  }
  return frames
}

/** A header block of `name: value` lines. */
export function block(...lines: string[]): Buffer {
  const encoder = new HpackEncoder()
  encoder.start()
  for (const line of lines) {
    const colon = line.indexOf(':', 1)
    encoder.field(line.slice(0, colon), line.slice(colon + 1).trim())
  }
  return Buffer.from(encoder.bytes.subarray(0, encoder.length))
}

export const getLines: string[] = [':method: GET', ':scheme: http', ':path: /', ':authority: api.test']

/** HEADERS of a whole request. */
export function get(streamId: number, ...lines: string[]): Buffer {
  return frame(FrameType.headers, Flag.endHeaders | Flag.endStream, streamId, block(...getLines, ...lines))
}

export const settings: Buffer = frame(FrameType.settings, 0, 0)

/** What came on one stream. */
export class FakeHandler implements StreamHandler {
  readonly heads: ReplyHead[] = []
  readonly chunks: Buffer[] = []
  isEnded = false
  trailers: Headers | null = null
  end: { code: number; isUnseen: boolean; why: string } | null = null
  drains = 0

  get text(): string {
    return Buffer.concat(this.chunks).toString('latin1')
  }

  head(head: ReplyHead): void {
    this.heads.push(head)
  }

  data(chunk: Buffer): void {
    this.chunks.push(chunk)
  }

  ended(trailers: Headers | null): void {
    this.isEnded = true
    this.trailers = trailers
  }

  broke(code: number, isUnseen: boolean, why: string): void {
    this.end = { code, isUnseen, why }
  }

  drained(): void {
    this.drains++
  }
}

/** A session with everything around it: `written` holds what it sent. */
export class Bench implements SessionOwner {
  readonly session: Session
  readonly requests: { stream: Stream; head: RequestHead; handler: FakeHandler }[] = []
  readonly refused: { stream: Stream; failure: Failure }[] = []
  readonly hits: string[] = []
  end: { code: number; why: string } | null = null
  leave: { lastStreamId: number; code: number } | null = null
  written: Buffer[] = []
  nowMs = 0
  writableLength = 0
  hasRoom = true

  constructor(role: 'server' | 'client', options: Partial<SessionOptions> = {}) {
    const clock = { now: () => this.nowMs, wall: () => 0 }
    this.session = new Session(
      {
        role,
        clock,
        limits: { headBytes: 8_000, fields: 50, targetBytes: 1_000 },
        streamsMax: 10,
        window: 65_535,
        isLent: false,
        isEncrypted: false,
        memory: new SharedMemory(new WriteBatch(() => {})),
        output: this,
        bounds: { resets: 20, pings: 10, settings: 10, emptyFrames: 20, windowUpdates: 100, continuations: 4 },
        ...options,
      },
      this,
    )
    this.session.start()
  }

  /** Past the preface and the first SETTINGS, with nothing written. */
  static open(role: 'server' | 'client', options: Partial<SessionOptions> = {}): Bench {
    const bench = new Bench(role, options)
    bench.receive(...(role === 'server' ? [preface, settings] : [settings]))
    bench.sent()
    return bench
  }

  receive(...pieces: Buffer[]): this {
    for (const piece of pieces) this.session.receive(piece)
    return this
  }

  write(bytes: Buffer): boolean {
    this.written.push(Buffer.from(bytes))
    return this.hasRoom
  }

  /** The frames sent since it was last asked. */
  sent(): Frame[] {
    this.session.outbox.flush()
    const bytes = Buffer.concat(this.written)
    this.written = []
    return readFrames(bytes.subarray(0, preface.length).equals(preface) ? bytes.subarray(preface.length) : bytes)
  }

  request(stream: Stream, head: RequestHead): void {
    const handler = new FakeHandler()
    stream.handler = handler
    this.requests.push({ stream, head, handler })
  }

  requestRefused(stream: Stream, failure: Failure): void {
    this.refused.push({ stream, failure })
  }

  streamClosed(): void {}

  goneAway(lastStreamId: number, code: number): void {
    this.leave = { lastStreamId, code }
  }

  settingsCame(): void {}

  over(code: number, why: string): void {
    this.end = { code, why }
  }

  hit(ceiling: string): void {
    this.hits.push(ceiling)
  }
}
