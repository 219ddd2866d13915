// The fully resolved config as plain JSON: nothing implicit is left in it. Its schemas are also the config language.

import type { ConsumerBlueprint, PlanBlueprint } from './consumer-schema.ts'
import { type ListenerBlueprint, port } from './listener-schema.ts'
import type { OverloadBlueprint } from './overload-schema.ts'
import {
  Choice,
  Duration,
  Fields,
  Maybe,
  Named,
  PatternText,
  type PolicyPart,
  Shorthand,
  Size,
  type Static,
  Type,
} from './schema.ts'
import type { UpstreamBlueprint } from './upstream-schema.ts'

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

export type AcmeBlueprint = Static<typeof acmeSchema>
export type TlsSessionsBlueprint = Static<typeof tlsSessionsSchema>
export type PathsBlueprint = Static<typeof pathsSchema>
export type StoreBlueprint = Static<typeof storeSchema>
export type MatchBlueprint = Static<typeof matchSchema>
export type TelemetryBlueprint = Static<typeof telemetrySchema>
export type MemoryBlueprint = Static<typeof memorySchema>
export type OutboundBlueprint = Static<typeof outboundSchema>
