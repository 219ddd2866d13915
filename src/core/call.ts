// One request on its way through the gateway.

import type { Body } from './body.ts'
import { Facts } from './facts.ts'
import type { Failure } from './failure.ts'
import type { Headers } from './headers.ts'
import type { PathPattern } from './pattern.ts'
import type { RouteRetry } from './retry-schema.ts'

/** Told when a call is given up before its reply was sent whole: the client left, or its time ran out. */
export interface Abandonable {
  abandoned(reason: Failure): void
}

/** What the connection knows about who is calling; shared by all calls of one connection. */
export interface Peer {
  /** Address of the other end of the socket, IPv4 in dotted form also on dual-stack sockets. */
  readonly address: string
  readonly port: number
  /** The end of the socket that is the gateway's. */
  readonly local: { readonly address: string; readonly port: number }
  /** Whether that address is one of the listener's trusted proxies. */
  readonly isTrusted: boolean
  readonly scheme: 'http' | 'https'
  /** Name of the listener that accepted the connection. */
  readonly listener: string
  /** What the client proved itself with in the TLS handshake; null where it showed none or was not asked. */
  readonly certificate: ClientCertificate | null
}

/** A client certificate that an authority of the listener's `clientCa` vouched for. */
export interface ClientCertificate {
  /** SHA-256 of the certificate, hex in lower case. */
  readonly fingerprint: string
  /** Distinguished names, RFC 2253 order, such as `CN=client,O=Acme`. */
  readonly subject: string
  readonly issuer: string
  /** Whether the issuer stands in `clientCa` itself and signed it: another authority of the list can take any name for one of its own. */
  readonly isIssuerKnown: boolean
  /** Hex. */
  readonly serial: string
  /** Names of the certificate: `dns:client.acme.test`, `uri:spiffe://acme/client`, `email:…`, `cn:…`. Kind and DNS names in lower case. */
  readonly names: readonly string[]
  /** From when to when it is good, milliseconds since the Unix epoch. */
  readonly fromMs: number
  readonly toMs: number
  /** The certificate itself, DER. */
  readonly raw: Buffer
  /** Those that the client sent after it, DER; empty where the listener does not keep them (`clientCa.chain`). */
  readonly chain: readonly Buffer[]
}

/** A target of an upstream, as far as others are to know it. */
export interface AskedTarget {
  /** Unique within the upstream: `http://inside.test:9001 10.0.0.7`. */
  readonly id: string
}

export interface CallInit {
  readonly method: string
  readonly target: string
  readonly path: string
  readonly query: string
  readonly host: string
  readonly headers: Headers
  readonly body: Body
  readonly peer: Peer
  readonly startedMs: number
}

type Asked = Pick<CallInit, 'method' | 'target' | 'query'>

/** One request. Made by the edge; layers may change `headers`, `target` and `body` on the way in. */
export class Call {
  readonly method: string
  /** Origin-form request target byte for byte as received, or as rewritten on the way. */
  target: string
  /** The target as received: what parameters of the route's pattern are read from, also after `target` was rewritten. */
  readonly received: string
  /** Path of the received target with its percent-encoded octets decoded once: what routes and `when` match. Starts with `/`. */
  readonly path: string
  /** From `?` on, as received; empty without a query. */
  readonly query: string
  /** Host in lower case, without port. */
  readonly host: string
  readonly headers: Headers
  body: Body
  readonly peer: Peer
  readonly facts: Facts = new Facts()
  /** Address of the client by the trusted-proxy rule; the peer's where no trusted proxy stands between. */
  clientAddress: string
  /** `x-request-id`; taken over from a trusted proxy or made here. */
  id = ''
  /** Version of HTTP that the client speaks. */
  protocol: 'HTTP/1.0' | 'HTTP/1.1' | 'HTTP/2' = 'HTTP/1.1'
  /** Token of the Upgrade field in lower case, empty without one. */
  upgrade = ''
  /** The client waits for `100 Continue`; it is sent when the body is first read. */
  expectsContinue = false
  /** The client accepts trailers (`TE: trailers`). */
  acceptsTrailers = false
  /** Monotonic time (`Clock.now`) at which the first byte of the head was seen, milliseconds. */
  readonly startedMs: number
  /** Monotonic time after which the call is given up; Infinity for none. Layers may only bring it forward. */
  deadlineMs = Infinity
  /** Milliseconds spent waiting for upstreams until their reply heads came, summed over all tries. */
  upstreamMs = 0
  /** What of `upstreamMs` passed until the last of the body was sent: a slow client says nothing of the upstream. */
  sendingMs = 0
  /** Name of the upstream that was asked last, empty while none was. */
  upstream = ''
  /** Which target of it; null while none was. */
  askedTarget: AskedTarget | null = null
  /** What its route says of further tries; null where that is the upstream's matter. */
  retry: RouteRetry | null = null
  /** How often the call was sent to an upstream. */
  tries = 0
  /** The status of gRPC that the client was told; -1 where it was none, and for other calls. */
  grpcStatus = -1
  /** The pattern of the matched route, for its parameters. */
  pattern: PathPattern | null = null
  /** Number of the runtime that the call started on, 0 before. */
  epoch = 0
  /** Name of the matched route, empty before or without one. */
  route = ''
  /** Set by the edge: sends an interim reply (103; never 100 or 101) to a client that can take it. */
  inform: ((status: number, headers: Headers) => void) | null = null
  /** Why a policy refused the call, for the log only; empty where none did. Holds no secrets. */
  refusal = ''
  /** Why the call was given up, null while it was not. */
  abandonReason: Failure | null = null
  #abandonables: Abandonable | Abandonable[] | null = null
  #try: Abandonable | null = null
  #overtaken: Failure | null = null

  constructor(init: CallInit) {
    this.method = init.method
    this.target = init.target
    this.received = init.target
    this.path = init.path
    this.query = init.query
    this.host = init.host
    this.headers = init.headers
    this.body = init.body
    this.peer = init.peer
    this.clientAddress = init.peer.address
    this.startedMs = init.startedMs
  }

  /** A parameter of the matched route's pattern as it stands in the received target (still percent-encoded), or undefined. */
  param(name: string): string | undefined {
    return this.pattern?.param(this.received, name)
  }

  /**
   * The same call once more, to be sent besides this one: giving one of them up is nothing to the other. It cannot be upgraded,
   * asks for no `100 Continue` and takes no interim replies. `as` puts another method, or another query, in their place.
   */
  copy(
    headers: Headers,
    body: Body,
    as: Asked = { method: this.method, target: this.received, query: this.query },
  ): Call {
    const { path, host, peer, startedMs } = this
    const copy = new Call({ ...as, path, host, headers, body, peer, startedMs })
    if (this.target !== this.received) copy.target = this.target
    copy.facts.adopt(this.facts)
    copy.clientAddress = this.clientAddress
    copy.id = this.id
    copy.protocol = this.protocol
    copy.acceptsTrailers = this.acceptsTrailers
    copy.deadlineMs = this.deadlineMs
    copy.retry = this.retry
    copy.pattern = this.pattern
    copy.epoch = this.epoch
    copy.route = this.route
    return copy
  }

  /** Registers something to be told when the call is given up; told at once if it already was. */
  onAbandon(listener: Abandonable): void {
    if (this.abandonReason !== null) listener.abandoned(this.abandonReason)
    else if (this.#abandonables === null) this.#abandonables = listener
    else if (Array.isArray(this.#abandonables)) this.#abandonables.push(listener)
    else this.#abandonables = [this.#abandonables, listener]
  }

  /** Takes back `onAbandon`. */
  offAbandon(listener: Abandonable): void {
    if (this.#abandonables === listener) this.#abandonables = null
    else if (Array.isArray(this.#abandonables)) {
      this.#abandonables = this.#abandonables.filter(other => other !== listener)
    }
  }

  /** Why nothing is to be sent for the call now: it was given up, or its tries were. Null while it may be. */
  get stopReason(): Failure | null {
    return this.abandonReason ?? this.#overtaken
  }

  /** Registers what is under way for the call at an upstream, one thing at a time; told at once where nothing is to be sent. */
  beginTry(one: Abandonable): void {
    const reason = this.stopReason
    if (reason === null) this.#try = one
    else one.abandoned(reason)
  }

  /** Takes back `beginTry`. */
  endTry(one: Abandonable): void {
    if (this.#try === one) this.#try = null
  }

  /** Gives up what is under way at an upstream, but not the call. No further try begins until `mayTryAgain`. */
  giveUpTries(reason: Failure): void {
    this.#overtaken = reason
    this.#endTries(reason)
  }

  mayTryAgain(): void {
    this.#overtaken = null
  }

  /** Gives the call up. Called by the edge and by layers that end a call early; the first reason stays. */
  abandon(reason: Failure): void {
    if (this.abandonReason !== null) return
    this.abandonReason = reason
    const listeners = this.#abandonables
    this.#abandonables = null
    if (Array.isArray(listeners)) for (const listener of listeners) listener.abandoned(reason)
    else listeners?.abandoned(reason)
    this.#endTries(reason)
  }

  #endTries(reason: Failure): void {
    const one = this.#try
    this.#try = null
    one?.abandoned(reason)
  }
}
