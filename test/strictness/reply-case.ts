// What a case of the reply table is: what the upstream sends, what the client must get, whether the connection lives on.

import { latin1, type Pairs } from './case.ts'

/** How the upstream leaves the connection once it has sent its bytes. */
export type After = 'open' | 'fin'

export type ReplyOutcome =
  /** The client gets this reply whole. `headers`: end-to-end fields, framing and those of the gateway left out. */
  | {
      readonly is: 'whole'
      readonly status: number
      readonly reason: string | null
      readonly headers: Pairs
      readonly body: Buffer
      /** Statuses of the interim replies that are passed on. */
      readonly interim: readonly number[]
      readonly trailers: Pairs
    }
  /** Nothing of it may pass: the client gets a reply of the gateway with status 502. */
  | { readonly is: 'refused' }
  /** Its head is fine, its body is not: the client may see the head, but never a whole message; or it gets a 502. */
  | { readonly is: 'cut' }
  /** The upstream still owes bytes: once its time is up, the client gets a 504, or what came, cut short. */
  | { readonly is: 'incomplete'; readonly inBody: boolean }

export interface ReplyCase {
  readonly name: string
  readonly section: string
  /** Method of the request that is answered. */
  readonly method: string
  readonly bytes: Buffer
  readonly after: After
  readonly outcome: ReplyOutcome
  /** Whether the connection may serve another call. */
  readonly isReusable: boolean
  readonly cuts?: readonly number[]
  /** The part that decides, where it is not the codec alone. */
  readonly by?: 'edge'
}

export type WholeReply = Extract<ReplyOutcome, { is: 'whole' }>

interface Extra {
  readonly method?: string
  readonly after?: After
  readonly isReusable?: boolean
  readonly cuts?: readonly number[]
  readonly by?: 'edge'
}

type WholeParts = Partial<Omit<WholeReply, 'is' | 'body'>> & { body?: string }

/** Passes whole. `200 OK` with no body where not said; the connection is reusable where not said. */
export function pass(
  section: string,
  name: string,
  text: string,
  parts: WholeParts = {},
  extra: Extra = {},
): ReplyCase {
  const { body = '', ...rest } = parts
  const outcome: ReplyOutcome = {
    is: 'whole',
    status: 200,
    reason: null,
    headers: [],
    interim: [],
    trailers: [],
    ...rest,
    body: latin1(body),
  }
  return { name, section, method: 'GET', bytes: latin1(text), after: 'open', outcome, isReusable: true, ...extra }
}

/** No part of it reaches the client. */
export function spoil(section: string, name: string, text: string, extra: Extra = {}): ReplyCase {
  const outcome: ReplyOutcome = { is: 'refused' }
  return { name, section, method: 'GET', bytes: latin1(text), after: 'open', outcome, isReusable: false, ...extra }
}

/** The client may get the head, but no whole message. */
export function cut(section: string, name: string, text: string, extra: Extra = {}): ReplyCase {
  return { ...spoil(section, name, text, extra), outcome: { is: 'cut' } }
}

/** The upstream owes bytes and keeps the connection open. */
export function owe(section: string, name: string, text: string, inBody: boolean, extra: Extra = {}): ReplyCase {
  return { ...spoil(section, name, text, extra), outcome: { is: 'incomplete', inBody } }
}

/** `200 OK` with these fields, without line ends, and what follows. */
export function ok(fields: readonly string[], body = ''): string {
  return ['HTTP/1.1 200 OK', ...fields, '', body].join('\r\n')
}
