// Two clients of one port, of HTTP/1.1 and of HTTP/2, that send the same call, so that what comes of it can be held side by side.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import http, { type IncomingHttpHeaders } from 'node:http'
import http2, { type ClientHttp2Session } from 'node:http2'
import https from 'node:https'
import { buffer } from 'node:stream/consumers'
import { gunzipSync } from 'node:zlib'

export interface Question {
  readonly path: string
  readonly method?: string
  /** A field per value. Cookies are one field over HTTP/1.1, and a field each over HTTP/2, as browsers send them. */
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  /** Sent without a length. */
  readonly body?: string
  readonly trailers?: Readonly<Record<string, string>>
  /** Of the call, `api.acme.test` by default. */
  readonly host?: string
}

/** What came of a call, without what belongs to the version, the moment or the connection. */
export interface Outcome {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly trailers: IncomingHttpHeaders
  readonly text: string
  /** The code of a problem; empty for other bodies. */
  readonly code: string
  /** What an upstream saw that echoes; null for other bodies. */
  readonly seen: Seen | null
}

export interface Seen {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly trailers: Readonly<Record<string, string>>
}

export interface Pair {
  readonly cert: string
  readonly key: string
}

/** Owns a session of HTTP/2; over HTTP/1.1 each call has a connection of its own. */
export class BothVersions implements Disposable {
  readonly session: ClientHttp2Session
  readonly #port: number
  readonly #tls: https.RequestOptions | null

  private constructor(port: number, session: ClientHttp2Session, tls: https.RequestOptions | null) {
    this.#port = port
    this.session = session
    this.#tls = tls
  }

  /** HTTP/2 with prior knowledge; with `tls` by ALPN, and with that certificate where it is one. */
  static async connect(port: number, tls: Pair | 'no certificate' | null = null): Promise<BothVersions> {
    const options = tls === null ? null : { rejectUnauthorized: false, ...(tls !== 'no certificate' && tls) }
    const url = `${options === null ? 'http' : 'https'}://127.0.0.1:${port}`
    // The types do not know that fields may be doubled.
    const lax: object = { strictSingleValueFields: false }
    const session = http2.connect(url, { ...lax, ...options })
    await once(session, 'connect')
    session.on('error', () => {})
    return new BothVersions(port, session, options)
  }

  /** Asks over each; both outcomes must be equal, and have this status and code. A function makes a call for each version. */
  async ask(question: Question | (() => Question), status: number, code = ''): Promise<Outcome> {
    const make = typeof question === 'function' ? question : () => question
    const old = await this.overHttp1(make())
    const current = await this.overHttp2(make())
    assert.deepEqual([old.status, old.code], [status, code], old.text)
    assertSame(current, old)
    return old
  }

  async overHttp1({ path, method = 'GET', headers = {}, body, trailers, ...more }: Question): Promise<Outcome> {
    const fields: string[] = ['host', more.host ?? 'api.acme.test', 'x-version', '1']
    for (const [name, value] of Object.entries(headers)) {
      const values = name === 'cookie' ? [[value].flat().join('; ')] : [value].flat()
      for (const one of values) fields.push(name, one)
    }
    if (body !== undefined || trailers !== undefined) fields.push('transfer-encoding', 'chunked')
    const options = { host: '127.0.0.1', port: this.#port, path, method, headers: fields, agent: false as const }
    const request = this.#tls === null ? http.request(options) : https.request({ ...options, ...this.#tls })
    if (body !== undefined) request.write(body)
    if (trailers !== undefined) request.addTrailers(trailers)
    request.end()
    const [reply] = (await once(request, 'response')) as [http.IncomingMessage]
    const bytes = await buffer(reply)
    return outcomeOf(reply.statusCode ?? 0, reply.headers, reply.trailers, bytes)
  }

  async overHttp2(question: Question): Promise<Outcome> {
    const stream = this.open(question)
    let trailers: object = {}
    stream.on('trailers', came => (trailers = came))
    const [[headers], bytes] = await Promise.all([once(stream, 'response'), buffer(stream)])
    const { ':status': status, ...fields } = headers as http2.IncomingHttpHeaders
    return outcomeOf(Number(status), fields, trailers, bytes)
  }

  /** The stream of a call, whose end was sent. */
  open({ path, method = 'GET', headers = {}, body, trailers, ...more }: Question): http2.ClientHttp2Stream {
    const scheme = this.#tls === null ? 'http' : 'https'
    const fields: string[] = [
      ...[':method', method, ':path', path, ':scheme', scheme, ':authority', more.host ?? 'api.acme.test'],
      ...['x-version', '2'],
    ]
    for (const [name, value] of Object.entries(headers)) {
      for (const one of [value].flat()) fields.push(name.toLowerCase(), one)
    }
    const hasBody = body !== undefined || trailers !== undefined
    const stream = this.session.request(fields, {
      endStream: !hasBody,
      waitForTrailers: trailers !== undefined,
    })
    stream.on('wantTrailers', () => stream.sendTrailers({ ...trailers }))
    if (hasBody) stream.end(body)
    return stream
  }

  [Symbol.dispose](): void {
    this.session.destroy()
  }
}

/** What fields say of times may have gone on by a second. */
export function assertSame(current: Outcome, old: Outcome): void {
  assert.deepEqual(withoutTimes(current), withoutTimes(old))
  const [times, before] = [timesOf(current), timesOf(old)]
  assert.ok(
    times.every((time, i) => Math.abs(time - (before[i] ?? 0)) <= 1),
    `${times.join(' ')}, before ${before.join(' ')}`,
  )
}

const timed = ['ratelimit', 'retry-after', 'x-ratelimit-reset']
const time = /(?<=^|;t=)\d+/g

function withoutTimes(outcome: Outcome): Outcome {
  const fields = Object.entries(outcome.headers)
  const masked = fields.map(([name, value]) => [name, timed.includes(name) ? String(value).replace(time, '…') : value])
  return { ...outcome, headers: Object.fromEntries(masked) as IncomingHttpHeaders }
}

function timesOf({ headers }: Outcome): number[] {
  return timed.flatMap(name => String(headers[name] ?? '').match(time) ?? []).map(Number)
}

const ofTheMoment = ['date', 'x-request-id', 'connection', 'keep-alive', 'transfer-encoding', 'content-length']
/** Signatures are new in each call. */
const ofTheCall = [
  ...['via', 'x-version', 'x-request-id', 'content-length', 'transfer-encoding', 'connection'],
  ...['signature', 'signature-input'],
]

function outcomeOf(status: number, fields: IncomingHttpHeaders, given: object, bytes: Buffer): Outcome {
  const headers: IncomingHttpHeaders = without(fields, ofTheMoment)
  // Node puts a symbol among those of HTTP/2.
  const trailers = Object.fromEntries(Object.entries(given)) as IncomingHttpHeaders
  const text = (headers['content-encoding'] === 'gzip' ? gunzipSync(bytes) : bytes).toString()
  const isJson = (headers['content-type'] ?? '').endsWith('json') && text.startsWith('{')
  const body = isJson ? (JSON.parse(text) as { code?: string } | Seen) : {}
  if (!('url' in body))
    return { status, headers, trailers, text, code: ('code' in body && body.code) || '', seen: null }
  const { method, url, body: sent, trailers: late } = body
  const seen = { method, url, headers: without(body.headers, ofTheCall), body: sent, trailers: late }
  return { status, headers, trailers, text: '', code: '', seen }
}

function without<T>(fields: Readonly<Record<string, T>>, names: readonly string[]): Record<string, T> {
  return Object.fromEntries(Object.entries(fields).filter(([name]) => !names.includes(name)))
}
