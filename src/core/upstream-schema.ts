// What the config can say about an upstream: its targets, and how calls to them are sent.

import { affinitySchema } from './affinity-schema.ts'
import { ejectionSchema, failoverSchema, healthSchema, slowStartSchema } from './health-schema.ts'
import { adaptiveSchema, breakerSchema, hedgeSchema } from './resilience-schema.ts'
import { retrySchema } from './retry-schema.ts'
import { Choice, Duration, Fields, Maybe, Shorthand, type Static, Type } from './schema.ts'

const targetSchema = Shorthand(
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
  affinity: Maybe({
    ...affinitySchema,
    description:
      'Keeps each client with one target by a cookie, which the gateway gives to those that bring none; `balance` is `hash` then.',
  }),
  health: Maybe(healthSchema),
  ejection: Maybe(ejectionSchema),
  slowStart: Maybe(slowStartSchema),
  failover: failoverSchema,
  dns: Fields(
    {
      refresh: Duration({
        default: '30s',
        minimum: 100,
        description: 'How often names of targets are resolved again.',
      }),
    },
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
      connect: Duration({ default: '2s', minimum: 1, description: 'Until a new connection is usable, TLS included.' }),
      response: Duration({
        default: '30s',
        minimum: 1,
        description: 'From the call sent until the first byte of the reply.',
      }),
      idle: Duration({
        default: '60s',
        minimum: 1,
        description: 'The longest pause inside a reply or a request body.',
      }),
      keepAlive: Duration({ default: '60s', description: 'How long an unused connection is kept.' }),
      call: Maybe(Duration({ minimum: 1, description: 'The whole exchange, all tries and the body included.' })),
    },
    { default: {}, description: 'How long the upstream may take.' },
  ),
  retry: retrySchema,
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

export type UpstreamBlueprint = Static<typeof upstreamSchema>
