// A client of raw TCP: sends pieces of bytes, tells what came back and whether the connection was closed.

import net from 'node:net'
import { readReply, statusOf, type WireMessage } from './parse.ts'

export interface Saw {
  /** Whole final replies, in order. */
  readonly replies: WireMessage[]
  /** Statuses of interim replies. */
  readonly interim: number[]
  /** Bytes behind the last whole reply. */
  rest: Buffer
  /** The other side closed. */
  isClosed: boolean
  /** Not what was waited for came, but the end of patience. */
  isLate: boolean
  problem: string
}

export interface Talk {
  readonly port: number
  /** Address to call from, which is how the upstream tells clients apart. */
  readonly from: string
  readonly pieces: readonly Buffer[]
  /** Methods of the requests, in order: HEAD is answered without a body. */
  readonly methods: readonly string[]
  /** Replies to wait for where the other side is to keep the connection open; Infinity: until it closes. */
  readonly replies: number
  /** How long to listen on once these replies have come. */
  readonly listenMs: number
  /** Behind the last piece the client waits no longer than this. */
  readonly patienceMs?: number
}

/** Resolves once what is waited for came; the connection is closed then. */
export function talk({ port, from, pieces, methods, replies, listenMs, patienceMs = 10_000 }: Talk): Promise<Saw> {
  const saw: Saw = { replies: [], interim: [], rest: Buffer.alloc(0), isClosed: false, isLate: false, problem: '' }
  return new Promise(resolve => {
    const socket = net.connect({ port, host: '127.0.0.1', localAddress: from, noDelay: true })
    let sent = 0
    let listening: NodeJS.Timeout | undefined
    let isDone = false
    const done = () => {
      if (isDone) return
      isDone = true
      clearTimeout(patience)
      clearTimeout(listening)
      socket.destroy()
      resolve(saw)
    }
    const patience = setTimeout(() => {
      saw.isLate = true
      done()
    }, patienceMs)
    const look = () => {
      if (sent < pieces.length || saw.replies.length < replies || listening !== undefined) return
      if (listenMs === 0) done()
      else listening = setTimeout(done, listenMs)
    }
    const sendNext = () => {
      if (saw.isClosed || socket.destroyed) return
      const piece = pieces[sent++]
      if (piece !== undefined) socket.write(piece)
      if (sent < pieces.length) setTimeout(sendNext, 1)
      else look()
    }
    socket.on('connect', sendNext)
    socket.on('data', (chunk: Buffer) => {
      saw.rest = saw.rest.length === 0 ? chunk : Buffer.concat([saw.rest, chunk])
      readReplies(saw, methods)
      look()
    })
    socket.on('error', error => {
      saw.problem ||= error.message
    })
    socket.on('close', () => {
      // What is closed here is no news about the other side.
      saw.isClosed ||= !isDone
      done()
    })
  })
}

function readReplies(saw: Saw, methods: readonly string[]): void {
  try {
    for (;;) {
      const reply = readReply(saw.rest, methods[saw.replies.length] ?? 'GET')
      if (reply === null) return
      saw.rest = saw.rest.subarray(reply.raw.length)
      if (statusOf(reply) < 200) saw.interim.push(statusOf(reply))
      else saw.replies.push(reply)
    }
  } catch (error) {
    saw.problem = (error as Error).message
  }
}

/** An address of the loopback network for each number up to fifteen million. */
export function loopbackAddress(n: number): string {
  return `127.${1 + (Math.floor(n / 62_500) % 250)}.${1 + (Math.floor(n / 250) % 250)}.${1 + (n % 250)}`
}

/** Runs the jobs, so many at a time. */
export async function inParallel<T>(
  jobs: readonly T[],
  width: number,
  run: (job: T, n: number) => Promise<void>,
): Promise<void> {
  let next = 0
  const work = async () => {
    while (next < jobs.length) {
      const n = next++
      await run(jobs[n] as T, n)
    }
  }
  await Promise.all(Array.from({ length: width }, work))
}
