// A client that does what a browser does at a login: it keeps cookies, follows redirects and fills in forms.

import { once } from 'node:events'
import http from 'node:http'

interface Kept {
  readonly value: string
  /** Milliseconds since the Unix epoch. */
  readonly endsMs: number
}

/** Keeps cookies for each origin, as long as they say. */
export class Browser {
  readonly #jars = new Map<string, Map<string, Kept>>()

  /** One request, with the cookies of its origin; no redirect is followed. */
  async ask(url: string, init: RequestInit = {}): Promise<Response> {
    const { origin } = new URL(url)
    const cookie = this.cookie(origin)
    const headers = {
      accept: 'text/html',
      ...(cookie !== '' && { cookie }),
      ...Object.fromEntries(new Headers(init.headers)),
    }
    const reply = await send(url, init.method ?? 'GET', headers, typeof init.body === 'string' ? init.body : '')
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
  const fields = new Headers()
  for (let i = 0; i < reply.rawHeaders.length; i += 2) {
    fields.append(reply.rawHeaders[i] ?? '', reply.rawHeaders[i + 1] ?? '')
  }
  const text = Buffer.concat(chunks).toString('utf8')
  return new Response(text === '' ? null : text, { status: reply.statusCode ?? 0, headers: fields })
}
