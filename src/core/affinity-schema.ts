// What the config can say about clients that stay with one target of an upstream by a cookie of the gateway.

import { Choice, Duration, Fields, Maybe, Shorthand, type Static, Type } from './schema.ts'

export const affinitySchema = Shorthand(
  'cookie',
  Fields({
    cookie: Type.String({ minLength: 1, description: 'Name of the cookie.', examples: ['shop-lane'] }),
    ttl: Maybe(
      Duration({
        minimum: 1000,
        description: 'How long a client keeps it; until it is closed where it is not written.',
      }),
    ),
    path: Type.String({ default: '/', description: 'Below which path the client sends it.' }),
    secure: Maybe(
      Type.Boolean({
        description: 'Whether it is sent over TLS alone; where it is not written, so for clients that called over TLS.',
      }),
    ),
    sameSite: Choice(['lax', 'strict', 'none'], {
      default: 'lax',
      description: 'On which calls from pages of other sites a browser sends it.',
    }),
  }),
)

export type AffinityBlueprint = Static<typeof affinitySchema>
