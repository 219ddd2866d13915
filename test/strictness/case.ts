// What a case of the strictness tables is: bytes on one side, what must come of them on the other.

/** Name as sent and value, in order. */
export type Pairs = readonly (readonly [string, string])[]

/** One request as the upstream must understand it. Fields that the gateway sets by its own rules are left out. */
export interface Message {
  readonly method: string
  readonly target: string
  /** Null: HTTP/1.0 without Host. */
  readonly host: string | null
  /** End-to-end fields without Host and framing, with names and values as sent. */
  readonly headers: Pairs
  readonly body: Buffer
  readonly trailers: Pairs
}

/** What becomes of the client's connection after the last whole message. */
export type Ending =
  /** It stays open and waits for the next request. */
  | { readonly is: 'open' }
  /** It is closed once the last message was answered; bytes behind it are ignored. */
  | { readonly is: 'closed' }
  /** More bytes are waited for; nothing was answered yet for the unfinished message. `inBody`: its head is complete. */
  | { readonly is: 'incomplete'; readonly inBody: boolean }
  /** Answered with one of these statuses and closed. `inBody`: the head was fine, its body is not. */
  | { readonly is: 'refused'; readonly statuses: readonly number[]; readonly inBody: boolean }
  /** A well-framed request refused with one of these statuses; whether the connection stays is not fixed. */
  | { readonly is: 'denied'; readonly statuses: readonly number[] }

export interface RequestCase {
  readonly name: string
  readonly section: string
  readonly bytes: Buffer
  /** The requests that must reach the upstream, in order, and nothing else. */
  readonly messages: readonly Message[]
  readonly ending: Ending
  /** The part that decides: pure codec, the rules for paths, or the edge around them. */
  readonly by: 'codec' | 'path' | 'edge'
  /** Where to cut the bytes on real sockets; every boundary where not said. */
  readonly cuts?: readonly number[]
  /** Texts that may not turn up anywhere in what the upstream receives. */
  readonly absent?: readonly string[]
}

export const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1')

/** A message that differs from `GET / HTTP/1.1` for a.test by these members. */
export function message(parts: Partial<Omit<Message, 'body'>> & { body?: string | Buffer } = {}): Message {
  const { body = '', ...rest } = parts
  return {
    method: 'GET',
    target: '/',
    host: 'a.test',
    headers: [],
    trailers: [],
    ...rest,
    body: typeof body === 'string' ? latin1(body) : body,
  }
}

type Extra = Partial<Pick<RequestCase, 'by' | 'cuts' | 'absent'>> & { readonly messages?: readonly Message[] }

/** Refused at the head. */
export function refuse(
  section: string,
  name: string,
  text: string,
  statuses: number | readonly number[] = 400,
  extra: Extra = {},
): RequestCase {
  return {
    name,
    section,
    bytes: latin1(text),
    messages: [],
    ending: { is: 'refused', statuses: [statuses].flat(), inBody: false },
    by: 'codec',
    ...extra,
  }
}

/** The head is fine, the body makes it void. */
export function refuseBody(section: string, name: string, text: string, extra: Extra = {}): RequestCase {
  const plain = refuse(section, name, text, 400, extra)
  return { ...plain, ending: { is: 'refused', statuses: [400, 413, 431], inBody: true } }
}

/** Well framed, but its path may not pass. */
export function denyPath(section: string, name: string, target: string): RequestCase {
  const plain = refuse(section, name, `GET ${target} HTTP/1.1\r\nHost: a.test\r\n\r\n`)
  return { ...plain, ending: { is: 'denied', statuses: [400] }, by: 'path' }
}

/** Understood as this message or these. */
export function accept(
  section: string,
  name: string,
  text: string,
  messages: Message | readonly Message[] = message(),
  is: 'open' | 'closed' = 'open',
  extra: Extra = {},
): RequestCase {
  return { name, section, bytes: latin1(text), messages: [messages].flat(), ending: { is }, by: 'codec', ...extra }
}

/** Neither wrong nor whole yet. */
export function wait(section: string, name: string, text: string, inBody: boolean, extra: Extra = {}): RequestCase {
  return {
    name,
    section,
    bytes: latin1(text),
    messages: [],
    ending: { is: 'incomplete', inBody },
    by: 'codec',
    ...extra,
  }
}

/** `GET / HTTP/1.1` with these lines behind Host, each without its line end. */
export function get(...lines: string[]): string {
  return ['GET / HTTP/1.1', 'Host: a.test', ...lines, '', ''].join('\r\n')
}

/** `POST / HTTP/1.1` with these lines behind Host, followed by `body`. */
export function post(lines: readonly string[], body: string): string {
  return ['POST / HTTP/1.1', 'Host: a.test', ...lines, '', body].join('\r\n')
}

/** A chunked POST with these bytes as its body. */
export function chunked(body: string): string {
  return post(['Transfer-Encoding: chunked'], body)
}

/** Every octet from 0 to 255 that passes the test. */
export function octets(passes: (octet: number) => boolean): number[] {
  return Array.from({ length: 256 }, (_, octet) => octet).filter(passes)
}

export const isTokenOctet = (octet: number): boolean => /^[A-Za-z0-9!#$%&'*+.^_`|~-]$/.test(String.fromCharCode(octet))

export function octetName(octet: number): string {
  const visible = octet > 32 && octet < 127 ? ` (${String.fromCharCode(octet)})` : ''
  return `0x${octet.toString(16).padStart(2, '0')}${visible}`
}
