// What a proxy under test has to do, and how the harness starts it.

/** What one proxy is asked to do in one scenario. */
export interface Setup {
  readonly port: number
  /** Plain HTTP/1.1 on the loopback address. */
  readonly upstreamPort: number
  /** PEM files, or null for plain HTTP. */
  readonly tls: { readonly cert: string; readonly key: string; readonly both: string } | null
  /** Five rules around every call: CORS, an address list, header edits, a body limit, a concurrency limit. */
  readonly hasPolicies: boolean
  /** Who calls must be known, limited, admitted and logged; null for nothing of it. */
  readonly identity:
    | { readonly kind: 'key'; readonly consumers: number }
    | { readonly kind: 'token'; readonly jwks: string }
    | null
  /** Replies are kept for ten minutes and answered from memory or disk, whatever the proxy has. */
  readonly isCaching: boolean
  /** Everything that keeps a sick upstream from harm is switched on; Turnpike alone is asked. */
  readonly isResilient: boolean
  /** What clients speak; `grpc` also to the upstream. */
  readonly protocol: 'http1' | 'http2' | 'grpc'
  /** Number of routes `/r0/…`, `/r1/…`; 0 for one route that takes everything. */
  readonly routes: number
  readonly workers: number
  /** A folder of its own for config and pid files. */
  readonly folder: string
  /** Writes a file into that folder and returns its path. */
  write(name: string, text: string): string
}

export interface Peer {
  readonly name: string
  /** Program that must be installed, null where the checkout brings it. */
  readonly program: string | null
  version(): Promise<string>
  /** The words that start it in the foreground, or null when it cannot do what is asked. */
  command(setup: Setup): readonly string[] | null
}
