// The directives of Cache-Control (RFC 9111 §5.2), of requests and of replies.

import type { Headers } from '../../core/headers.ts'

/** What a reply says about keeping it, for a cache that many share. Times in milliseconds; null where it says nothing. */
export interface ReplyRules {
  readonly noStore: boolean
  /** Of the whole reply; `noCacheFields` where it names fields. */
  readonly noCache: boolean
  readonly isPrivate: boolean
  readonly isPublic: boolean
  /** Names in lower case of fields that must not be used again unvalidated, or not be kept. */
  readonly droppedFields: readonly string[]
  /** Must not be served stale, whatever anyone allows (§5.2.2.2, §5.2.2.8, §5.2.2.10). */
  readonly mustRevalidate: boolean
  readonly mustUnderstand: boolean
  /** By `s-maxage`, or else `max-age`. 0 where it is malformed. */
  readonly maxAgeMs: number | null
  /** Lets replies to calls with credentials be kept (§3.5). */
  readonly isForAll: boolean
  /** RFC 5861. */
  readonly staleWhileRevalidateMs: number | null
  readonly staleIfErrorMs: number | null
}

/** What a request asks of caches (§5.2.1). */
export interface RequestRules {
  readonly noStore: boolean
  readonly noCache: boolean
  readonly onlyIfCached: boolean
  readonly maxAgeMs: number | null
  readonly minFreshMs: number
  /** 0 for no staleness, Infinity for any. */
  readonly maxStaleMs: number
}

type Directives = ReadonlyMap<string, readonly string[]>

export function readReplyRules(headers: Headers): ReplyRules {
  const found = parseDirectives(headers.all('cache-control'))
  const noCache = found.get('no-cache')
  const isPrivate = found.get('private')
  const shared = ageIn(found, 's-maxage')
  const isMust = found.has('must-revalidate')
  return {
    noStore: found.has('no-store'),
    noCache: noCache?.includes('') === true,
    isPrivate: isPrivate?.includes('') === true,
    isPublic: found.has('public'),
    droppedFields: [...(noCache ?? []), ...(isPrivate ?? [])].flatMap(fieldNames),
    mustRevalidate: isMust || found.has('proxy-revalidate') || shared !== null,
    mustUnderstand: found.has('must-understand'),
    maxAgeMs: shared ?? ageIn(found, 'max-age'),
    isForAll: found.has('public') || isMust || shared !== null,
    staleWhileRevalidateMs: ageIn(found, 'stale-while-revalidate'),
    staleIfErrorMs: ageIn(found, 'stale-if-error'),
  }
}

/** `pragma` counts where there is no Cache-Control (§5.4). */
export function readRequestRules(cacheControl: readonly string[], pragma: string): RequestRules {
  const found = parseDirectives(cacheControl)
  const maxStale = found.get('max-stale')
  return {
    noStore: found.has('no-store'),
    noCache: found.has('no-cache') || (cacheControl.length === 0 && /(?:^|[\s,])no-cache(?:[\s,]|$)/i.test(pragma)),
    onlyIfCached: found.has('only-if-cached'),
    maxAgeMs: ageIn(found, 'max-age'),
    minFreshMs: ageIn(found, 'min-fresh') ?? 0,
    maxStaleMs: maxStale?.[0] === '' ? Infinity : (ageIn(found, 'max-stale') ?? 0),
  }
}

/** Directives in lower case with their arguments, unquoted; the empty text for one without. */
function parseDirectives(values: readonly string[]): Directives {
  const found = new Map<string, string[]>()
  for (const item of values.flatMap(splitList)) {
    const equals = item.indexOf('=')
    const name = (equals < 0 ? item : item.slice(0, equals)).toLowerCase()
    if (name === '') continue
    const argument = equals < 0 ? '' : unquoted(item.slice(equals + 1))
    const before = found.get(name)
    if (before === undefined) found.set(name, [argument])
    else before.push(argument)
  }
  return found
}

/** The items between commas that stand in no quotes, trimmed. */
export function splitList(value: string): string[] {
  return (value.match(/(?:"(?:[^"\\]|\\.)*"?|[^,"])+/g) ?? []).map(item => item.trim())
}

function unquoted(text: string): string {
  return text.startsWith('"') && text.endsWith('"') && text.length > 1
    ? text.slice(1, -1).replaceAll(/\\(.)/g, '$1')
    : text
}

const longestMs = 2 ** 31 * 1000

/** The least where it is given more than once with different values, and 0 for what is no number (§4.2.1). */
function ageIn(found: Directives, name: string): number | null {
  const values = found.get(name)
  if (values === undefined) return null
  return Math.min(...values.map(value => (/^\d+$/.test(value) ? Math.min(Number(value) * 1000, longestMs) : 0)))
}

function fieldNames(argument: string): string[] {
  return argument
    .toLowerCase()
    .split(',')
    .map(name => name.trim())
    .filter(name => name !== '')
}
