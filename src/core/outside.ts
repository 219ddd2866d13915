// What the gateway itself asks of other servers: key sets, identity providers, authorization services.

export interface OutsideRequest {
  readonly method: string
  /** `http:` or `https:`, without user information. */
  readonly url: string
  /** Path and query, byte for byte, instead of those of the URL. */
  readonly target?: string
  /** With `host` among them it goes instead of the host of the URL; what is connected to, and whose certificate counts, stays. */
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer
  /** The whole exchange, milliseconds. */
  readonly timeoutMs: number
  /** Bytes of the reply body; a longer one fails. */
  readonly bodyBytesMax: number
  /**
   * To be set for a URL that does not stand in the config but was named by another server, as `jwks_uri` of a discovery document:
   * the URL of that server. Such a URL may lead to public addresses, to that same host, and to what `outbound.allow` names.
   */
  readonly namedBy?: string
  /** May be sent twice though it is no GET, where a kept connection broke in the moment it was used. */
  readonly isRepeatable?: boolean
}

export interface OutsideReply {
  readonly status: number
  /** By name in lower case; several of one name are joined by `, `, those of `set-cookie` by a line feed. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

/** One unary gRPC call. */
export interface OutsideRpc {
  /** Scheme, host and port. */
  readonly url: string
  /** Such as `/envoy.service.auth.v3.Authorization/Check`. */
  readonly path: string
  readonly message: Uint8Array
  readonly metadata?: Readonly<Record<string, string>>
  readonly timeoutMs: number
  readonly bodyBytesMax: number
  /** May be sent twice, where the connection broke before anything of a reply came. */
  readonly isRepeatable?: boolean
}

/**
 * Guarded against being sent to where it should not go (SSRF): every address is checked when it is connected to, after its name
 * was resolved; redirects are not followed; size and time are bounded.
 */
export interface Outside {
  /** Any status is a reply. @throws OutsideError */
  fetch(request: OutsideRequest): Promise<OutsideReply>
  /** The message of the reply. @throws OutsideError, also for a gRPC status other than 0. */
  rpc(request: OutsideRpc): Promise<Uint8Array>
}

/** Why no reply came. Its message is for the log. */
export class OutsideError extends Error {
  readonly kind: 'refused-address' | 'unreachable' | 'timeout' | 'too-large' | 'malformed' | 'status'

  constructor(kind: OutsideError['kind'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'OutsideError'
    this.kind = kind
  }
}
