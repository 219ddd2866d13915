// A client that does what a browser does at a login: it keeps cookies, follows redirects and fills in forms.

import { once } from 'node:events'
import http from 'node:http'
import type { ClientHttp2Session, IncomingHttpHeaders } from 'node:http2'
import { buffer } from 'node:stream/consumers'

interface Kept {
  readonly value: string
  /** Milliseconds since the Unix epoch. */
  readonly endsMs: number
}

/** A session with one origin, which is asked over HTTP/2; all others are over HTTP/1.1. */
export interface Http2Origin {
  readonly origin: string
  readonly session: ClientHttp2Session
}

/** Keeps cookies for each origin, as long as they say. */
export class Browser {
  readonly #jars = new Map<string, Map<string, Kept>>()
  readonly #http2: Http2Origin | null

  constructor(overHttp2: Http2Origin | null = null) {
    this.#http2 = overHttp2
  }

  /** One request, with the cookies of its origin; no redirect is followed. */
  async ask(url: string, init: RequestInit = {}): Promise<Response> {
    const { origin } = new URL(url)
    const cookie = this.cookie(origin)
    const headers = {
      accept: 'text/html',
      ...(cookie !== '' && { cookie }),
      ...Object.fromEntries(new Headers(init.headers)),
    }
    const [method, body] = [init.method ?? 'GET', typeof init.body === 'string' ? init.body : '']
    const reply = await (this.#http2?.origin === origin
      ? sendOverHttp2(this.#http2.session, url, method, headers, body)
      : send(url, method, headers, body))
    this.#keep(origin, reply.headers.getSetCookie())
    return reply
  }

  /** As a program inside a page asks, such as by `fetch`: it is never sent away to log in. */
  call(url: string): Promise<Response> {
    return this.ask(url, { headers: { accept: '*/*' } })
  }

  /** What it would send as `Cookie`. */
  cookie(origin: string): string {
    return [...this.cookies(origin)].map(([name, value]) => `${name}=${value}`).join('; ')
  }

  /** Cookies that have not ended. */
  cookies(origin: string): Map<string, string> {
    const live = [...(this.#jars.get(origin) ?? [])].filter(([, { endsMs }]) => endsMs > Date.now())
    return new Map(live.map(([name, { value }]) => [name, value]))
  }

  /** In place of those that it has, for as long as the browser is open. */
  setCookies(origin: string, cookies: ReadonlyMap<string, string>): void {
    this.#jars.set(origin, new Map([...cookies].map(([name, value]) => [name, { value, endsMs: Infinity }])))
  }

  /** Opens a page and goes wherever that leads, logging in on the way; stops before a URL that begins with `until`. */
  async goUntil(start: string, until: string, user = 'ada'): Promise<string> {
    let url = start
    let reply = await this.ask(url)
    for (let i = 0; i < 20; i++) {
      const location = reply.headers.get('location')
      if (location !== null) {
        url = new URL(location, url).href
        if (url.startsWith(until)) return url
        reply = await this.ask(url)
        continue
      }
      const page = await reply.text()
      const [, action = ''] = /action="([^"]+)"/.exec(page) ?? []
      const isLogin = page.includes('name="login"')
      url = new URL(action, url).href
      reply = await this.ask(url, {
        method: 'POST',
        body: isLogin ? `prompt=login&login=${user}&password=x` : 'prompt=consent',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
      })
    }
    throw new Error(`${until} did not come, the last was ${reply.status} ${url}`)
  }

  #keep(origin: string, fields: readonly string[]): void {
    const jar = this.#jars.get(origin) ?? new Map<string, Kept>()
    this.#jars.set(origin, jar)
    for (const text of fields) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(text) ?? []
      const seconds = /; *max-age=(-?\d+)/i.exec(text)?.[1]
      const date = /; *expires=([^;]+)/i.exec(text)?.[1]
      const endsMs =
        seconds === undefined ? (date === undefined ? Infinity : Date.parse(date)) : Date.now() + Number(seconds) * 1000
      if (value === '' || endsMs <= Date.now()) jar.delete(name)
      else jar.set(name, { value, endsMs })
    }
  }
}

/** Without what `fetch` adds by itself: it would tell that no page is being loaded. Each on a connection of its own. */
async function send(url: string, method: string, headers: Record<string, string>, body: string): Promise<Response> {
  const request = http.request(url, {
    method,
    headers: { ...headers, 'content-length': Buffer.byteLength(body) },
    agent: false,
  })
  request.end(body)
  const [reply] = (await once(request, 'response')) as [http.IncomingMessage]
  const chunks: Buffer[] = []
  for await (const chunk of reply) chunks.push(chunk as Buffer)
  return responseOf(reply.statusCode ?? 0, reply.rawHeaders, Buffer.concat(chunks))
}

/** Cookies go in a field each, as browsers send them (RFC 9113 §8.2.3). */
async function sendOverHttp2(
  session: ClientHttp2Session,
  url: string,
  method: string,
  headers: Record<string, string>,
  body: string,
): Promise<Response> {
  const { host, pathname, search } = new URL(url)
  const asked = { ':method': method, ':path': pathname + search, ':authority': host }
  const { cookie = '', ...rest } = headers
  const fieldsOfCall = { ...asked, ...rest, ...(cookie !== '' && { cookie: cookie.split('; ') }) }
  const stream = session.request(fieldsOfCall, { endStream: body === '' })
  if (body !== '') stream.end(body)
  const [[head, , raw], bytes] = await Promise.all([once(stream, 'response'), buffer(stream)])
  const fields = (raw as string[]).slice((raw as string[]).findIndex((name, i) => i % 2 === 0 && !name.startsWith(':')))
  return responseOf(Number((head as IncomingHttpHeaders)[':status']), fields, bytes)
}

/** `fields` are names and values in turn. */
function responseOf(status: number, fields: readonly string[], bytes: Buffer): Response {
  const headers = new Headers()
  for (let i = 0; i < fields.length; i += 2) headers.append(fields[i] ?? '', fields[i + 1] ?? '')
  const text = bytes.toString('utf8')
  return new Response(text === '' ? null : text, { status, headers })
}
