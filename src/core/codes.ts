// Every way a call can break or be refused by the gateway: one table of code, status, side and public text.

export type FailureSource = 'client' | 'gateway' | 'upstream'

export interface CodeEntry {
  /** HTTP status of the reply made from it. 0: the client is gone, nobody is answered. */
  readonly status: number
  readonly source: FailureSource
  /** What the caller may read; says nothing about the inside. */
  readonly text: string
}

/** Documented one by one in docs/errors.md, which a test holds against this table. */
export const codes = {
  // The client's message or conduct.
  'malformed-request': { status: 400, source: 'client', text: 'The request is not valid HTTP.' },
  'plain-http-on-tls-port': { status: 400, source: 'client', text: 'This port speaks TLS: call it by https.' },
  'unsafe-path': { status: 400, source: 'client', text: 'The path of the request is ambiguous.' },
  'body-not-json': { status: 400, source: 'client', text: 'The request body is not valid JSON.' },
  'body-refused': { status: 400, source: 'client', text: 'The request body is malformed or too complex.' },
  'invalid-request': { status: 400, source: 'client', text: 'The request is not as the API describes it.' },
  unauthenticated: { status: 401, source: 'client', text: 'The call is not authenticated.' },
  forbidden: { status: 403, source: 'client', text: 'This is not allowed.' },
  'csrf-refused': { status: 403, source: 'client', text: 'The call comes from a page of another site.' },
  'insufficient-scope': { status: 403, source: 'client', text: 'The token may not be used for this.' },
  denied: { status: 403, source: 'client', text: 'This caller is turned away.' },
  'bot-denied': { status: 403, source: 'client', text: 'This program is not allowed.' },
  'address-denied': { status: 403, source: 'client', text: 'This address is not allowed.' },
  'route-not-found': { status: 404, source: 'client', text: 'No route matches this request.' },
  'method-not-allowed': { status: 405, source: 'client', text: 'This path does not accept this method.' },
  'request-timeout': { status: 408, source: 'client', text: 'The request did not arrive in time.' },
  'body-too-large': { status: 413, source: 'client', text: 'The request body is too large.' },
  'target-too-long': { status: 414, source: 'client', text: 'The request target is too long.' },
  'media-type-refused': { status: 415, source: 'client', text: 'This kind of request body is not accepted.' },
  'expectation-failed': { status: 417, source: 'client', text: 'The expectation is not supported.' },
  'rate-limited': { status: 429, source: 'client', text: 'Too many calls. Try again later.' },
  'quota-exceeded': { status: 429, source: 'client', text: 'The quota is used up. Try again in its next period.' },
  'authentication-throttled': { status: 429, source: 'client', text: 'Too many failures to authenticate.' },
  'headers-too-large': { status: 431, source: 'client', text: 'The request headers are too large.' },
  'client-closed': { status: 0, source: 'client', text: 'The client closed the connection.' },
  // The gateway itself.
  internal: { status: 500, source: 'gateway', text: 'The gateway failed.' },
  'method-not-implemented': { status: 501, source: 'gateway', text: 'This method is not supported.' },
  'upgrade-not-supported': { status: 501, source: 'gateway', text: 'This change of protocol is not supported.' },
  'coding-not-implemented': { status: 501, source: 'gateway', text: 'This transfer coding is not supported.' },
  'version-not-supported': { status: 505, source: 'gateway', text: 'This version of HTTP is not supported.' },
  'concurrency-exceeded': { status: 503, source: 'gateway', text: 'Too many calls at once. Try again shortly.' },
  'buffers-full': { status: 503, source: 'gateway', text: 'Too many bodies are held at once. Try again shortly.' },
  'access-unavailable': { status: 503, source: 'gateway', text: 'Access cannot be checked now. Try again shortly.' },
  'authentication-unavailable': { status: 503, source: 'gateway', text: 'Callers cannot be checked now. Try again.' },
  'login-unavailable': { status: 503, source: 'gateway', text: 'Nobody can log in now. Try again shortly.' },
  'gateway-overloaded': { status: 503, source: 'gateway', text: 'The gateway has too much to do. Try again shortly.' },
  'gateway-draining': { status: 503, source: 'gateway', text: 'The gateway is shutting down. Try again.' },
  'not-cached': { status: 504, source: 'gateway', text: 'Only a kept reply was asked for, and there is none.' },
  'call-timeout': { status: 504, source: 'gateway', text: 'The call took longer than it may.' },
  // The upstream.
  'upstream-unresolved': { status: 502, source: 'upstream', text: 'The service behind the gateway was not found.' },
  'upstream-connect-failed': { status: 502, source: 'upstream', text: 'The service could not be reached.' },
  'upstream-connect-timeout': { status: 504, source: 'upstream', text: 'The service could not be reached in time.' },
  'upstream-tls-failed': { status: 502, source: 'upstream', text: 'The service could not be reached securely.' },
  'upstream-reset': { status: 502, source: 'upstream', text: 'The service closed the connection.' },
  'upstream-stale': { status: 502, source: 'upstream', text: 'The service closed the connection.' },
  'upstream-malformed-reply': { status: 502, source: 'upstream', text: 'The service gave an invalid reply.' },
  'upstream-reply-cut-short': { status: 502, source: 'upstream', text: 'The reply of the service was cut short.' },
  'invalid-reply': {
    status: 502,
    source: 'upstream',
    text: 'The reply of the service is not as its API describes it.',
  },
  'upstream-timeout': { status: 504, source: 'upstream', text: 'The service did not answer in time.' },
  'upstream-unhealthy': { status: 503, source: 'upstream', text: 'The service is not well. Try again shortly.' },
  'upstream-busy': { status: 503, source: 'upstream', text: 'The service is at its limit. Try again shortly.' },
  'breaker-open': { status: 503, source: 'upstream', text: 'The service is failing. Try again shortly.' },
  'upstream-overloaded': {
    status: 503,
    source: 'upstream',
    text: 'The service has too much to do. Try again shortly.',
  },
} as const satisfies Record<string, CodeEntry>

export type FailureCode = keyof typeof codes
