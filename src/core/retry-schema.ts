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

export const retrySchema = Maybe(
  Fields(
    {
      attempts: Type.Integer({ minimum: 0, maximum: 10, default: 1, description: 'Further tries after the first.' }),
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
