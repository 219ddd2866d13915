// What the config can say about further tries of calls.

import { Duration, Fields, Maybe, OneOrMany, Percent, Type } from './schema.ts'

/** Statuses of gRPC that may be reasons for a further try, each with its number. */
export const retriedGrpcStatuses = {
  'grpc-cancelled': 1,
  'grpc-deadline-exceeded': 4,
  'grpc-resource-exhausted': 8,
  'grpc-aborted': 10,
  'grpc-internal': 13,
  'grpc-unavailable': 14,
} as const

export type GrpcRetryReason = keyof typeof retriedGrpcStatuses

/** What may be a reason for a further try besides the statuses of replies. */
const plainWords = ['connect-failure', 'reset', 'timeout'] as const

/** One of the words, or a status from 400 on. */
export type RetryReason = (typeof plainWords)[number] | GrpcRetryReason | `${number}`

export const retryWords: readonly string[] = [...plainWords, ...Object.keys(retriedGrpcStatuses)]

export function isGrpcReason(reason: string): reason is GrpcRetryReason {
  return Object.hasOwn(retriedGrpcStatuses, reason)
}

/** Written as a word, or as a status with or without quotes; see `retry-reason` of config/formats.ts. */
function Reason() {
  return Type.Unsafe<RetryReason>({
    type: ['string', 'integer'],
    format: 'retry-reason',
    minimum: 400,
    maximum: 599,
  })
}

const attemptsBounds = { minimum: 0, maximum: 10, description: 'Further tries after the first.' } as const

export const retrySchema = Maybe(
  Fields(
    {
      attempts: Type.Integer({ ...attemptsBounds, default: 1 }),
      on: OneOrMany(Reason(), {
        minItems: 1,
        default: ['connect-failure', 'reset'],
        description: 'What is tried again.',
      }),
      budget: Percent({ default: '20%', description: 'Retries as a share of the calls of the last ten seconds.' }),
      backoff: Duration({
        default: '25ms',
        description: 'Base of the jittered, doubling pause before a further try.',
      }),
      retryAfterMax: Duration({
        maximum: 60_000,
        default: '1s',
        description:
          'How long a further try may wait because the server asks for it (`Retry-After`, `grpc-retry-pushback-ms`); a reply that asks for more goes to the client.',
      }),
    },
    {
      description:
        'When a call is tried again; where it is not written, only one that found no connection, on other targets.',
    },
  ),
)

/** What a route says of further tries of its calls. */
export const routeRetrySchema = Maybe(
  Type.Union(
    [
      Type.Literal(false),
      Fields({
        attempts: Maybe(Type.Integer(attemptsBounds)),
        on: Maybe(OneOrMany(Reason(), { minItems: 1, description: 'What is tried again.' })),
      }),
    ],
    {
      description:
        'In place of what `retry` of the upstream says: `false` for no further try, or other `attempts`, or another `on`.',
    },
  ),
)

/** The same as the gateway reads it: what is null stays as the upstream says. */
export interface RouteRetry {
  readonly attempts: number | null
  readonly on: readonly RetryReason[] | null
}
