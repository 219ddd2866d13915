// The fully resolved config as plain JSON: nothing implicit is left in it. Its schemas are also the config language.

import type { ConsumerBlueprint, PlanBlueprint } from './consumer-schema.ts'
import { ejectionSchema, failoverSchema, healthSchema, slowStartSchema } from './health-schema.ts'
import { adaptiveSchema, breakerSchema, hedgeSchema } from './resilience-schema.ts'
import type { OverloadBlueprint } from './overload-schema.ts'
import {
  Choice,
  Duration,
  Fields,
  Maybe,
  Named,
  OneOrMany,
  PatternText,
  Percent,
  type PolicyPart,
  Rate,
  Shorthand,
  Size,
  type Static,
  Type,
} from './schema.ts'

const flood = (count: number, description: string) =>
  Type.Integer({ minimum: 1, maximum: 1_000_000, default: count, description })
const port = (description: string) => Type.Integer({ minimum: 0, maximum: 65535, description })

export const tlsSchema = Fields({
  certificates: Type.Array(
    Fields({
      cert: Type.String({ format: 'file', description: 'PEM file with the certificate and its chain.' }),
      key: Type.String({ format: 'file', description: 'PEM file with the private key.' }),
    }),
    {
      default: [],
      description: 'Chosen by SNI from the names in the certificates; the first one serves unknown names.',
    },
  ),
  acme: Type.Array(Type.String({ format: 'hostname' }), {
    maxItems: 1000,
    default: [],
    description: 'Host names that get certificates by themselves, one each, from the server of the top-level `acme`.',
  }),
  minVersion: Choice(['1.2', '1.3'], { default: '1.2', description: 'Oldest TLS version accepted.' }),
  ciphers: OneOrMany(Type.String(), {
    minItems: 1,
    default: ['intermediate'],
    description:
      'Cipher suites in the order of preference, by the names of OpenSSL; `intermediate` and `compatible` stand for lists.',
  }),
  clientCa: Maybe(
    Shorthand(
      'file',
      Fields(
        {
          file: Type.String({
            format: 'file',
            description: 'PEM file of the authorities that sign client certificates.',
          }),
          mode: Choice(['required', 'optional'], {
            default: 'required',
            description: 'Whether a client without a certificate may connect. One with a bad certificate never may.',
          }),
          crl: Maybe(
            Type.String({ format: 'file', description: 'PEM file of revocation lists, one of every authority.' }),
          ),
          chain: Type.Boolean({
            default: false,
            description:
              'Keeps what the client sent along with its certificate, for `Client-Cert-Chain`. Sessions do not resume then: tickets hold no chain.',
          }),
        },
        { description: 'Asks clients for a certificate; nobody is asked where it is not written.' },
      ),
    ),
  ),
})

export const listenerSchema = Fields({
  name: Type.String({
    default: '',
    description: 'For `match.listeners` and metrics; the port where it is not written.',
  }),
  port: port('TCP port; 0 takes any free one.'),
  host: Maybe(Type.String({ description: 'Address to listen on; all addresses where it is not written.' })),
  tls: Maybe({ ...tlsSchema, description: 'Makes it a TLS port; plain HTTP where it is not written.' }),
  timeouts: Fields(
    {
      head: Duration({ default: '10s', description: 'From the first byte of a request until its head is complete.' }),
      body: Duration({ default: '30s', description: 'The longest pause while a request body or a reply is moving.' }),
      idle: Duration({ default: '75s', description: 'How long a keep-alive connection may stay without a call.' }),
      tunnel: Duration({ default: '1h', description: 'How long an upgraded connection may stay without a byte.' }),
    },
    { default: {}, description: 'How long clients may take.' },
  ),
  limits: Fields(
    {
      connections: Type.Integer({
        minimum: 1,
        default: 65536,
        description: 'Open connections, over all workers together; further ones are closed at once.',
      }),
      connectionsPerAddress: Maybe(
        Type.Integer({
          minimum: 1,
          description:
            'The same from one client address, IPv6 by /64; trusted proxies are not counted. Not bounded where it is not written.',
        }),
      ),
      accepts: Maybe(
        Rate({
          description:
            'New connections that are begun to be served, over all workers together, such as `500/s`; others wait, as long as `timeouts.head`. Not bounded where it is not written.',
        }),
      ),
      head: Size({ default: '32kB', description: 'Request line and header fields together.' }),
      fields: Type.Integer({ minimum: 1, maximum: 10000, default: 100, description: 'Number of header fields.' }),
      target: Size({ default: '8kB', description: 'The request target.' }),
    },
    { default: {}, description: 'How much is accepted; more is refused.' },
  ),
  proxyProtocol: Maybe(
    Fields(
      {
        from: Type.Array(Type.String({ format: 'cidr' }), {
          minItems: 1,
          description: 'Addresses or CIDRs of the proxies; other clients connect as they do elsewhere.',
        }),
      },
      {
        description:
          'Connections of these proxies begin with a PROXY header, version 1 or 2, which says who the client is; nobody’s where it is not written.',
      },
    ),
  ),
  http2: Fields(
    {
      enabled: Type.Boolean({
        default: true,
        description: 'Whether clients may speak HTTP/2: by ALPN with TLS, by its preface without.',
      }),
      streams: Type.Integer({
        minimum: 1,
        maximum: 10_000,
        default: 128,
        description: 'Calls at once on one connection; further ones are refused, to be tried again.',
      }),
      window: Size({
        default: '65535B',
        description: 'What a client may send of one body before it was passed on; 65,535 bytes at least.',
      }),
      resets: flood(500, 'Streams that end before their reply was whole, by the client or by its fault.'),
      pings: flood(1_000, 'PING frames.'),
      settings: flood(100, 'SETTINGS frames.'),
      emptyFrames: flood(1_000, 'DATA frames without data, PRIORITY frames, and frames of unknown types.'),
      windowUpdates: flood(
        2_000,
        'WINDOW_UPDATE frames; each DATA frame of 1 kB and more that is sent makes room for ten.',
      ),
      continuations: Type.Integer({
        minimum: 0,
        maximum: 1_000,
        default: 8,
        description: 'CONTINUATION frames of one header block.',
      }),
    },
    {
      default: {},
      description:
        'HTTP/2, and what a client may do on one connection; the counts are for ten seconds, and past one the connection ends.',
    },
  ),
  trustedProxies: Type.Array(Type.String({ format: 'cidr' }), {
    default: [],
    description:
      'Addresses or CIDRs whose X-Forwarded-* and Forwarded fields are believed; from others they are dropped.',
  }),
})

export const acmeSchema = Fields({
  directory: Type.String({
    default: 'https://acme-v02.api.letsencrypt.org/directory',
    description: 'URL of the ACME server (RFC 8555); Let’s Encrypt where it is not written.',
  }),
  agreeToTerms: Type.Boolean({
    default: false,
    description: 'Must be `true`: you agree to the terms of service of that server.',
  }),
  email: Maybe(Type.String({ description: 'Where the server may write to about your certificates.' })),
  externalAccount: Maybe(
    Fields(
      {
        keyId: Type.String({ description: 'As the server gave it to you.' }),
        hmacKey: Type.String({ format: 'secret', description: 'In base64url, by `${env:NAME}` or `${file:PATH}`.' }),
      },
      { description: 'For servers that want an account of theirs (external account binding).' },
    ),
  ),
  renewBefore: Maybe(
    Duration({
      description: 'How long before its end a certificate is renewed, give or take; a third of its life by default.',
    }),
  ),
  retry: Duration({
    default: '1m',
    description: 'Pause after a failure; it doubles with each further one, up to 6 hours.',
  }),
})

export const tlsSessionsSchema = Fields({
  lifetime: Duration({ default: '1h', description: 'How long a TLS session may be resumed; at most `rotate`.' }),
  rotate: Duration({
    default: '12h',
    description: 'How often the key of session tickets changes; tickets of the key before stay good.',
  }),
})

export const pathsSchema = Fields({
  dotSegments: Choice(['refuse', 'normalise'], {
    default: 'refuse',
    description: '`.` and `..` segments, plain or percent-encoded.',
  }),
  encodedSlashes: Choice(['refuse', 'normalise', 'keep'], {
    default: 'refuse',
    description: '`%2F` and `%5C`, and the plain backslash.',
  }),
  emptySegments: Choice(['refuse', 'normalise', 'keep'], { default: 'refuse', description: '`//` inside a path.' }),
  parameters: Choice(['refuse', 'keep'], { default: 'refuse', description: '`;` in a path segment.' }),
  case: Choice(['sensitive', 'insensitive'], { default: 'sensitive', description: 'How paths are matched.' }),
})

export const adminSchema = Fields({
  port: port('TCP port of metrics, health and the admin API.'),
  host: Type.String({ default: '127.0.0.1', description: 'Address to listen on; loopback where it is not written.' }),
  token: Maybe(
    Type.String({
      format: 'secret',
      minLength: 16,
      description:
        'What `Authorization: Bearer` must bring, by `${env:NAME}` or `${file:PATH}`, 16 characters or more; beyond loopback nothing is managed without.',
    }),
  ),
})

export const targetSchema = Shorthand(
  'url',
  Fields({
    url: Type.String({ format: 'origin', description: 'Scheme, host and port, such as `http://10.0.0.7:9001`.' }),
    weight: Type.Integer({ minimum: 0, maximum: 1000, default: 1, description: 'Share of the calls; 0 sends none.' }),
    priority: Type.Integer({
      minimum: 0,
      maximum: 100,
      default: 0,
      description: 'Group for failover: calls go to a higher number when targets of the lower ones are sick.',
    }),
  }),
)

export const upstreamSchema = Fields({
  targets: Type.Array(targetSchema, { minItems: 1, description: 'Servers that answer alike.' }),
  protocol: Choice(['http1', 'http2', 'auto'], {
    default: 'http1',
    description:
      'What is spoken to the targets. `http2` goes without asking to `http://` targets; `auto` asks those with `https` by ALPN.',
  }),
  balance: Choice(['round-robin', 'least-request', 'random', 'hash'], {
    default: 'least-request',
    description: 'How a target is chosen; `least-request` takes the less busy of two drawn by weight.',
  }),
  hashBy: Maybe(
    Type.String({
      format: 'template',
      description: 'With `balance: hash`: what is hashed; the client address by default.',
    }),
  ),
  boundedLoad: Maybe(
    Type.Number({
      minimum: 1.01,
      maximum: 100,
      description:
        'With `balance: hash`: a target has at most so many times its share of the calls under way, such as 1.25; further ones go to the next.',
    }),
  ),
  health: Maybe(healthSchema),
  ejection: Maybe(ejectionSchema),
  slowStart: Maybe(slowStartSchema),
  failover: failoverSchema,
  dns: Fields(
    { refresh: Duration({ default: '30s', description: 'How often names of targets are resolved again.' }) },
    { default: {}, description: 'How names of targets are resolved.' },
  ),
  tls: Fields(
    {
      verify: Type.Boolean({ default: true, description: 'Whether the certificate of the target must be valid.' }),
      serverName: Maybe(
        Type.String({ description: 'Name for SNI and verification; the host of the target by default.' }),
      ),
      ca: Maybe(
        Type.String({ format: 'file', description: 'PEM file of authorities to trust instead of the system’s.' }),
      ),
      cert: Maybe(
        Type.String({ format: 'file', description: 'PEM file with a certificate of this gateway, and its chain.' }),
      ),
      key: Maybe(Type.String({ format: 'file', description: 'PEM file with the key of `cert`.' })),
    },
    { default: {}, description: 'For targets with `https`.' },
  ),
  proxyProtocol: Maybe(
    Choice(['v1', 'v2'], {
      description:
        'Begins each connection with a PROXY header that says who the client is; then no two clients share a connection.',
    }),
  ),
  timeouts: Fields(
    {
      connect: Duration({ default: '2s', description: 'Until a new connection is usable, TLS included.' }),
      response: Duration({ default: '30s', description: 'From the call sent until the first byte of the reply.' }),
      idle: Duration({ default: '60s', description: 'The longest pause inside a reply or a request body.' }),
      keepAlive: Duration({ default: '60s', description: 'How long an unused connection is kept.' }),
      call: Maybe(Duration({ description: 'The whole exchange, all tries and the body included.' })),
    },
    { default: {}, description: 'How long the upstream may take.' },
  ),
  retry: Maybe(
    Fields(
      {
        attempts: Type.Integer({ minimum: 0, maximum: 10, default: 1, description: 'Further tries after the first.' }),
        on: Type.Array(Choice(['connect-failure', 'reset', 'timeout', '500', '502', '503', '504']), {
          default: ['connect-failure', 'reset'],
          description: 'What is tried again.',
        }),
        budget: Percent({ default: '20%', description: 'Retries as a share of the calls of the last ten seconds.' }),
        backoff: Duration({
          default: '25ms',
          description: 'Base of the jittered, doubling pause before a further try.',
        }),
      },
      {
        description:
          'When a call is tried again; where it is not written, only one that found no connection, on other targets.',
      },
    ),
  ),
  hedge: Maybe(hedgeSchema),
  breaker: Maybe(breakerSchema),
  adaptive: Maybe(adaptiveSchema),
  deadlineHeader: Maybe(
    Type.String({
      description:
        'Field in which each try tells how many milliseconds its call has left, such as `x-envoy-expected-rq-timeout-ms`; clients cannot send it.',
    }),
  ),
  limits: Fields(
    {
      connections: Type.Integer({
        minimum: 1,
        default: 1024,
        description: 'Connections to the upstream, over all workers together; each worker has its even share.',
      }),
      pending: Type.Integer({
        minimum: 0,
        default: 1024,
        description: 'Calls waiting for a connection, over all workers together; one more is answered 503 at once.',
      }),
    },
    { default: {}, description: 'Ceilings; what they turn away is counted.' },
  ),
})

export const storeSchema = Fields({
  url: Maybe(
    Type.String({
      description:
        'Of one server: `redis://[user@]host[:port][/database]`, `rediss://` for TLS. The password stands in `password`.',
    }),
  ),
  sentinels: Type.Array(Type.String(), {
    default: [],
    description: 'In place of `url`: sentinels that know the primary, each as `host:port`.',
  }),
  master: Maybe(Type.String({ description: 'With `sentinels`: the name of the primary.' })),
  sentinelUsername: Maybe(Type.String({ description: 'For the sentinels themselves.' })),
  sentinelPassword: Maybe(Type.String({ format: 'secret', description: 'For the sentinels themselves.' })),
  username: Maybe(Type.String({ description: 'Goes before that of the URL.' })),
  password: Maybe(Type.String({ format: 'secret', description: 'Brought in by `${env:NAME}` or `${file:PATH}`.' })),
  tls: Maybe(
    Fields(
      {
        serverName: Maybe(
          Type.String({ description: 'Name for SNI and verification; the host of the server by default.' }),
        ),
        ca: Maybe(
          Type.String({ format: 'file', description: 'PEM file of authorities to trust instead of the system’s.' }),
        ),
        cert: Maybe(
          Type.String({ format: 'file', description: 'PEM file with a certificate of this gateway, and its chain.' }),
        ),
        key: Maybe(Type.String({ format: 'file', description: 'PEM file with the key of `cert`.' })),
      },
      { description: 'For `rediss://`; with `sentinels` it turns TLS on, to them and to the servers.' },
    ),
  ),
  timeout: Duration({
    default: '50ms',
    description: 'How long a call may wait for the store before `onFailure` decides.',
  }),
  replicas: Type.Integer({
    minimum: 0,
    maximum: 10,
    default: 0,
    description: 'How many replicas must have a count before a call may pass by it; a failover then forgets none.',
  }),
  keyPrefix: Type.String({
    default: 'turnpike:',
    description: 'Before every key; gateways that count together must have the same one.',
  }),
})

const valueMatch = Named(Type.String(), {
  default: {},
  description: 'Names to exact values; `*` takes any value.',
})

export const matchSchema = Fields({
  hosts: Type.Array(Type.String({ format: 'hostname' }), {
    default: [],
    description: 'Host names; `*.acme.test` takes any name below. Any host where none is written.',
  }),
  path: Maybe(
    PatternText({ description: 'Such as `/users/{id}` or `/catalog/**`; any path where it is not written.' }),
  ),
  methods: Type.Array(Type.String(), { default: [], description: 'Any method where none is written.' }),
  headers: valueMatch,
  query: valueMatch,
  listeners: Type.Array(Type.String(), { default: [], description: 'Names of listeners; any where none is written.' }),
})

export const outboundSchema = Fields({
  allow: Type.Array(Type.String({ format: 'cidr' }), {
    default: [],
    description:
      'Addresses and CIDRs that the gateway may ask although they are not public, such as those of an identity provider in a private network.',
  }),
  ca: Maybe(Type.String({ format: 'file', description: 'PEM file of authorities to trust instead of the system’s.' })),
})

export const memorySchema = Fields({
  credentials: Type.Integer({
    minimum: 8,
    maximum: 10_000_000,
    default: 20_000,
    description:
      'Credentials that each worker keeps at hand, at about 1.5 kB each, and as many consumers; others are read from the store again.',
  }),
  unknownCredentials: Type.Integer({
    minimum: 8,
    maximum: 10_000_000,
    default: 10_000,
    description:
      'Texts that each worker remembers to be nobody’s credential, so that guessing does not reach the store.',
  }),
  replies: Size({
    default: '64MB',
    description: 'What the replies that `cache` keeps may take in all workers together; each has its even part.',
  }),
})

export const telemetrySchema = Fields({
  accessLog: Maybe(
    Shorthand(
      'to',
      Fields(
        {
          to: Type.String({ description: '`stdout`, or the path of a file that is reopened on SIGUSR1.' }),
          bufferBytes: Size({
            default: '1MB',
            description: 'Lines waiting to be written; past it lines are dropped and counted.',
          }),
        },
        { description: 'One line of JSON per call; none where it is not written.' },
      ),
    ),
  ),
  requestId: Type.Boolean({ default: true, description: 'Sets `x-request-id` on calls and replies.' }),
  trace: Choice(['start', 'forward', 'off'], {
    default: 'forward',
    description:
      'W3C `traceparent`: `forward` passes on what the client sent, `start` continues it or starts a sampled trace, `off` drops it.',
  }),
})

/** `policy`, its resolved options, and the match that narrows it (null: always). */
export interface PolicyUse extends PolicyPart {
  readonly when: MatchBlueprint[] | null
  /** Whether it was written around every route: then it is built once, and what it counts is counted over all routes. */
  readonly isGlobal: boolean
}

export interface EndUse {
  readonly end: string
  readonly options: unknown
}

export interface RouteBlueprint {
  /** Unique. Made of the first match where the user wrote none. */
  readonly name: string
  /** Any of them. Never empty. */
  readonly match: readonly MatchBlueprint[]
  /** Outermost first, those around every route included. */
  readonly policies: readonly PolicyUse[]
  readonly end: EndUse
  /** Tokens of Upgrade that may pass, in lower case. */
  readonly upgrades: readonly string[]
}

export interface Blueprint {
  readonly listeners: readonly ListenerBlueprint[]
  readonly admin: Static<typeof adminSchema> | null
  /** Number of worker threads; 0 where the user wrote none: one per core. */
  readonly workers: number
  /** How long calls may go on after the order to stop, milliseconds. */
  readonly drainMs: number
  readonly paths: PathsBlueprint
  /** Of all TLS listeners. */
  readonly tlsSessions: TlsSessionsBlueprint
  readonly acme: AcmeBlueprint | null
  readonly telemetry: TelemetryBlueprint
  /** What the gateway may ask of other servers for itself; upstreams are not meant. */
  readonly outbound: OutboundBlueprint
  readonly memory: MemoryBlueprint
  readonly overload: OverloadBlueprint
  /** Absolute path of the folder for data; null for none. */
  readonly data: string | null
  readonly plans: Readonly<Record<string, PlanBlueprint>>
  readonly consumers: readonly ConsumerBlueprint[]
  readonly upstreams: Readonly<Record<string, UpstreamBlueprint>>
  readonly stores: Readonly<Record<string, StoreBlueprint>>
  readonly routes: readonly RouteBlueprint[]
}

/** `name` is never empty here. Certificate files stand as their absolute paths. */
export type ListenerBlueprint = Static<typeof listenerSchema>
export type TlsBlueprint = Static<typeof tlsSchema>
export type AcmeBlueprint = Static<typeof acmeSchema>
export type TlsSessionsBlueprint = Static<typeof tlsSessionsSchema>
export type PathsBlueprint = Static<typeof pathsSchema>
export type StoreBlueprint = Static<typeof storeSchema>
export type UpstreamBlueprint = Static<typeof upstreamSchema>
export type MatchBlueprint = Static<typeof matchSchema>
export type TelemetryBlueprint = Static<typeof telemetrySchema>
export type MemoryBlueprint = Static<typeof memorySchema>
export type OutboundBlueprint = Static<typeof outboundSchema>
