// What the config can say about further tries of calls.

import { Duration, Fields, Maybe, OneOrMany, Percent, Type } from './schema.ts'

/** What may be a reason for a further try besides the statuses of replies. */
export const retryWords = ['connect-failure', 'reset', 'timeout'] as const

/** One of the words, or a status from 400 on. */
export type RetryReason = (typeof retryWords)[number] | `${number}`

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
          'How long a further try may wait because the server asks for it (`Retry-After`); a reply that asks for more goes to the client.',
      }),
    },
    {
      description:
        'When a call is tried again; where it is not written, only one that found no connection, on other targets.',
    },
  ),
)
