// The field names the codec knows: their interned lower-case form, and which of them it treats on its own.

import { createLexicon, type Lexicon } from './lexicon.ts'

/** What the codec does with a field. Numbers, so that the decoder's `switch` is a jump. */
export const Kind = {
  plain: 0,
  host: 1,
  contentLength: 2,
  transferEncoding: 3,
  connection: 4,
  upgrade: 5,
  expect: 6,
  te: 7,
  /** Hop-by-hop and of no further use: dropped (RFC 9110 §7.6.1). */
  dropped: 8,
  /** Says who called a proxy before us; kept, but noted, because only trusted proxies may say it. */
  forwarding: 9,
  /** Another spelling of a framing field, which CGI-like upstreams would take for it: refused. */
  disguised: 10,
} as const

export type KindNumber = (typeof Kind)[keyof typeof Kind]

export interface KnownName {
  /** As spelled. */
  readonly name: string
  /** In lower case. */
  readonly key: string
  readonly kind: KindNumber
}

const special: Readonly<Record<string, KindNumber>> = {
  host: Kind.host,
  'content-length': Kind.contentLength,
  'transfer-encoding': Kind.transferEncoding,
  connection: Kind.connection,
  upgrade: Kind.upgrade,
  expect: Kind.expect,
  te: Kind.te,
  'keep-alive': Kind.dropped,
  'proxy-connection': Kind.dropped,
  trailer: Kind.dropped,
  forwarded: Kind.forwarding,
  'x-forwarded-for': Kind.forwarding,
  'x-forwarded-host': Kind.forwarding,
  'x-forwarded-proto': Kind.forwarding,
  'x-forwarded-port': Kind.forwarding,
  'x-forwarded-prefix': Kind.forwarding,
  'x-forwarded-scheme': Kind.forwarding,
  'x-forwarded-server': Kind.forwarding,
  'x-forwarded-ssl': Kind.forwarding,
  'x-real-ip': Kind.forwarding,
  // Said of copies by `mirror`, and believed of another gateway only.
  'x-turnpike-mirrored': Kind.forwarding,
  // Who the client of a proxy proved to be (RFC 9440 §2.4): no client may say it of itself, on no route.
  'client-cert': Kind.forwarding,
  'client-cert-chain': Kind.forwarding,
  via: Kind.forwarding,
}

/** Fields by which a proxy tells who and what is behind it; keys. */
export const forwardingKeys: readonly string[] = Object.keys(special).filter(key => special[key] === Kind.forwarding)

const forwardingSet: ReadonlySet<string> = new Set(forwardingKeys)

/** The same, with every other field by whose name a proxy would have said it, such as `X-Forwarded-User`. */
export function isForwardingKey(key: string): boolean {
  return key.startsWith('x-forwarded-') || forwardingSet.has(key)
}

const common = `accept accept-charset accept-encoding accept-language accept-ranges access-control-allow-credentials
access-control-allow-headers access-control-allow-methods access-control-allow-origin access-control-expose-headers
access-control-max-age access-control-request-headers access-control-request-method age allow alt-svc authorization
cache-control cdn-loop content-disposition content-encoding content-language content-location content-range
content-security-policy content-type cookie cross-origin-embedder-policy cross-origin-opener-policy
cross-origin-resource-policy date dnt etag expires from idempotency-key if-match if-modified-since if-none-match
if-range if-unmodified-since last-modified link location origin permissions-policy pragma priority range ratelimit
ratelimit-policy referer referrer-policy retry-after sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest
sec-fetch-mode sec-fetch-site sec-fetch-user sec-websocket-accept sec-websocket-extensions sec-websocket-key
sec-websocket-protocol sec-websocket-version server server-timing set-cookie strict-transport-security traceparent
tracestate upgrade-insecure-requests user-agent vary www-authenticate x-api-key x-content-type-options x-frame-options
x-powered-by x-request-id x-requested-with x-xss-protection`

/** As standards, servers and browsers spell them, where that is neither lower-case nor Train-Case. */
const spelledOtherwise = `DNT ETag RateLimit RateLimit-Policy Sec-WebSocket-Accept Sec-WebSocket-Extensions Sec-WebSocket-Key
Sec-WebSocket-Protocol Sec-WebSocket-Version TE WWW-Authenticate X-API-Key X-Request-ID X-XSS-Protection`

/** Names in the spellings that clients and servers use: lower-case, Train-Case, and those of `spelledOtherwise`. */
const spellings: ReadonlyMap<string, KnownName> = new Map(
  [
    ...[...Object.keys(special), ...common.split(/\s+/)].flatMap(key => [
      key,
      key.replace(/(^|-)[a-z]/g, letter => letter.toUpperCase()),
    ]),
    ...spelledOtherwise.split(/\s+/),
  ].map(name => {
    const key = name.toLowerCase()
    return [name, { name, key, kind: special[key] ?? Kind.plain }]
  }),
)

/** Finds the names that nearly all fields have, in their usual spellings. */
export const knownNames: Lexicon<KnownName> = createLexicon(spellings)

/** The key and kind of any name. */
export function nameOf(name: string): KnownName {
  const key = name.toLowerCase()
  const kind = spellings.get(key)?.kind ?? (key.includes('_') ? kindBehindUnderscores(key) : kindOfUnknown(key))
  return { name, key, kind }
}

function kindOfUnknown(key: string): KindNumber {
  return isForwardingKey(key) ? Kind.forwarding : Kind.plain
}

/**
 * CGI, WSGI and Rack read `X_Forwarded_For` and `X-Forwarded-For` as one variable: what the gateway removes or refuses under
 * its right name must not pass under the other (CVE-2015-0219 and its kin).
 */
function kindBehindUnderscores(key: string): KindNumber {
  const { kind } = nameOf(key.replaceAll('_', '-'))
  if (kind === Kind.contentLength || kind === Kind.transferEncoding) return Kind.disguised
  return kind === Kind.plain ? Kind.plain : Kind.dropped
}
