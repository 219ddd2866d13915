// Whether a reply may be kept, and for how long (RFC 9111 §3).

import type { Headers } from '../../core/headers.ts'
import type { Reply } from '../../core/reply.ts'
import type { Asked } from './asked.ts'
import { type ReplyRules, readReplyRules, splitList } from './directives.ts'
import { type Guess, initialAgeOf, lifetimeOf } from './freshness.ts'
import type { Stored } from './stored.ts'
import { isAmbiguous, selectionOf } from './vary.ts'

export interface Judgement {
  readonly statuses: ReadonlySet<number>
  readonly bodyMax: number
  readonly guess: Guess
  /** For replies that say nothing of it; milliseconds. */
  readonly staleWhileRevalidateMs: number
  readonly staleIfErrorMs: number
  /** Each consumer has replies of its own. */
  readonly isByConsumer: boolean
}

export interface Times {
  /** `Clock.now` when it was asked for, and when the head came. */
  readonly askedMs: number
  readonly cameMs: number
  readonly cameWallMs: number
}

/** A reply that may be kept, still without its body. */
export type Keepable = Omit<Stored, 'body' | 'mark' | 'lease'>

/** Why a reply is not kept. `isLasting`: the next one will hardly be another. */
export interface Refusal {
  readonly isLasting: boolean
}

const passing: Refusal = { isLasting: false }
const lasting: Refusal = { isLasting: true }

/** Statuses whose meaning for caches this one implements; §5.2.2.3. Parts and interim replies are not among them. */
const understood: ReadonlySet<number> = new Set([
  ...[
    200, 203, 204, 300, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 410, 414, 421, 451, 500, 501, 502, 503, 504,
  ],
])

export function judge(reply: Reply, request: Headers, asked: Asked, times: Times, by: Judgement): Keepable | Refusal {
  const { status, headers, body } = reply
  // What the gateway itself answers is no reply of the service.
  if (reply.code !== null || reply.tunnel !== null) return passing
  if (!by.statuses.has(status)) return status < 500 ? lasting : passing
  const rules = readReplyRules(headers)
  if (!mayKeep(status, headers, rules, asked.isIdentified && !by.isByConsumer)) return lasting
  if (body.length > by.bodyMax) return lasting
  const selection = selectionOf(headers.all('vary'), request)
  if (selection === null) return lasting
  if (isAmbiguous(selection, request)) return passing
  // What a service says to somebody with a cookie is kept where it says so, and not by guess.
  const guess = asked.hasCookie ? null : by.guess
  const lifetimeMs = rules.noCache ? 0 : lifetimeOf(status, headers, rules, times.cameWallMs, guess)
  const kept = keepable(reply, rules, selection, lifetimeMs, times)
  if (lifetimeMs > 0 || canBeOfUse(kept, by)) return kept
  return guess === null ? passing : lasting
}

/** For the first time a reply is kept, and after each validation. */
function keepable(
  { status, reason, headers }: Reply,
  rules: ReplyRules,
  selection: Stored['selection'],
  lifetimeMs: number,
  times: Times,
): Keepable {
  const kept = keptFields(headers, rules, times.cameWallMs)
  return { status, reason, headers: kept, selection, ...ofHead(headers, rules, lifetimeMs, times) }
}

/** What follows from the fields of a reply, or of a 304. */
function ofHead(headers: Headers, rules: ReplyRules, lifetimeMs: number, times: Times) {
  const initialAgeMs = initialAgeOf(headers, times.cameMs - times.askedMs)
  return {
    rules,
    etag: headers.get('etag') ?? '',
    lastModified: headers.get('last-modified') ?? '',
    storedMs: times.cameMs,
    storedWallMs: times.cameWallMs,
    initialAgeMs,
    lifetimeMs,
    freshUntilMs: times.cameMs + lifetimeMs - initialAgeMs,
    tags: tagsOf(headers),
  }
}

/** A stored reply after a 304: its fields take the place of those that are kept (RFC 9111 §3.2, §4.3.4). */
export function refresh(stored: Stored, reply: Reply, mark: number, times: Times, by: Judgement): Stored {
  const headers = stored.headers.clone()
  const replaced = new Set<string>()
  const { list } = reply.headers
  for (let i = 0; i < list.length; i += 3) {
    const [name, key, value] = [list[i] as string, list[i + 1] as string, list[i + 2] as string]
    if (contentFields.has(key) || neverKept.has(key)) continue
    if (!replaced.has(key)) headers.delete(key)
    replaced.add(key)
    headers.add(name, value)
  }
  const rules = readReplyRules(headers)
  const lifetimeMs = rules.noCache ? 0 : lifetimeOf(stored.status, headers, rules, times.cameWallMs, by.guess)
  const kept = keptFields(headers, rules, times.cameWallMs)
  // The age is that of the 304.
  const { initialAgeMs } = ofHead(reply.headers, rules, lifetimeMs, times)
  const head = ofHead(headers, rules, lifetimeMs, times)
  const freshUntilMs = times.cameMs + lifetimeMs - initialAgeMs
  return { ...stored, ...head, headers: kept, initialAgeMs, freshUntilMs, mark }
}

/** Whether what a 304 says forbids to keep the reply any longer. */
export function mayStay({ status, headers, rules }: Stored, isBound: boolean): boolean {
  return mayKeep(status, headers, rules, isBound)
}

/** `isBound`: the call is somebody's, so that the reply must say that it is for all (§3.5). */
function mayKeep(status: number, headers: Headers, rules: ReplyRules, isBound: boolean): boolean {
  if (status === 206 || status === 304) return false
  const { mustUnderstand, noStore } = rules
  if (mustUnderstand ? !understood.has(status) : noStore) return false
  if (rules.isPrivate || (isBound && !rules.isForAll)) return false
  return !headers.has('set-cookie') || rules.droppedFields.includes('set-cookie')
}

/** A reply that is stale from the start is of use where it can be validated, or sent stale. */
function canBeOfUse({ etag, lastModified, rules }: Keepable, by: Judgement): boolean {
  if (etag !== '' || lastModified !== '') return true
  if (rules.mustRevalidate || rules.noCache) return false
  return (
    (rules.staleWhileRevalidateMs ?? by.staleWhileRevalidateMs) > 0 || (rules.staleIfErrorMs ?? by.staleIfErrorMs) > 0
  )
}

/** Each reply has an age and an id of its own; the rest belongs to one connection, or to one proxy (§3.1). */
const neverKept: ReadonlySet<string> = new Set([
  ...['age', 'x-request-id', 'proxy-authenticate', 'proxy-authentication-info', 'proxy-authorization'],
  ...[
    'connection',
    'keep-alive',
    'proxy-connection',
    'te',
    'trailer',
    'transfer-encoding',
    'upgrade',
    'content-length',
  ],
])

/** What says how the bytes that are kept are to be read, and stays with them. */
const contentFields: ReadonlySet<string> = new Set([
  'content-length',
  'content-encoding',
  'content-range',
  'content-md5',
  'content-digest',
])

function keptFields(headers: Headers, { droppedFields }: ReplyRules, wallMs: number): Headers {
  const kept = headers.clone()
  for (const key of neverKept) kept.delete(key)
  for (const key of droppedFields) kept.delete(key)
  // RFC 9110 §6.6.1: who keeps a reply without Date says when it came.
  if (!kept.has('date')) kept.add('Date', new Date(wallMs).toUTCString())
  return kept
}

/** What a reply can be purged by. */
function tagsOf(headers: Headers): string[] {
  const commas = headers.all('cache-tag').flatMap(splitList)
  const blanks = headers.all('surrogate-key').flatMap(value => value.split(/\s+/))
  return [...commas, ...blanks].filter(tag => tag !== '')
}
