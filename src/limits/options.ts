// The options that policies about limits share.

import { Choice, Fields, Maybe, OneOrMany, Type } from '../core/schema.ts'

export const byOption = OneOrMany(
  Type.Union([
    Choice(['consumer', 'application', 'credential', 'client', 'route'], { description: 'A part of the call.' }),
    Fields({ header: Type.String({ minLength: 1, description: 'The first value of this request header.' }) }),
    Fields({ claim: Type.String({ minLength: 1, description: 'A claim of the token.' }) }),
  ]),
  {
    minItems: 1,
    description:
      'Whose calls are counted together: those alike in all of these. `client` is the address; `{ header: NAME }` and `{ claim: NAME }` are empty where they are missing.',
  },
)

export const ipv6PrefixOption = Type.Integer({
  minimum: 1,
  maximum: 128,
  default: 64,
  description: 'How many bits of an IPv6 address make one client.',
})

export const nameOption = Type.String({
  pattern: '^[A-Za-z0-9._-]*$',
  default: '',
  description:
    'Limits of one name share their counts, and `limits` of a consumer or plan override by it; the place in the config where it is not written.',
})

const costMax = Type.Integer({ minimum: 1, default: 1000, description: 'What a higher value counts as.' })

export const costOption = Type.Union(
  [
    Type.Integer({ minimum: 1 }),
    Fields({ header: Type.String({ minLength: 1, description: 'A request header with the cost.' }), max: costMax }),
    Fields({ reply: Type.String({ minLength: 1, description: 'A reply header with the cost.' }), max: costMax }),
  ],
  {
    default: 1,
    description:
      'What a call takes: a number, that of a request header, or that of a reply header, charged after the reply. 1 where the header has no number.',
  },
)

export const countOption = Choice(['all', 'only-2xx'], {
  default: 'all',
  description: '`only-2xx` gives back what a call took whose reply is none of 2xx.',
})

export const headersOption = Choice(['draft', 'legacy', 'both', 'none'], {
  default: 'draft',
  description:
    'What replies tell: `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-11), the older `X-RateLimit-*`, both or nothing.',
})

/** How much memory counts may take. */
export const callersOption = Type.Integer({
  minimum: 1,
  maximum: 10_000_000,
  default: 65_536,
  description:
    'How many callers are counted at once in the memory of this gateway, at about 600 bytes each; further ones are refused, or pass by `onFailure: open`. With `mode: leased`, how many have permits at hand in a worker.',
})

/** Where counts are kept. */
export const storeOptions = {
  store: Maybe(Type.String({ description: 'A name of `stores`; the memory of this gateway where it is not written.' })),
  mode: Choice(['exact', 'leased'], {
    default: 'exact',
    description:
      '`exact` asks the store on each call, `leased` takes permits in blocks. Means nothing without `store`.',
  }),
  onFailure: Choice(['open', 'closed', 'local-share'], {
    default: 'local-share',
    description:
      'What happens while the store fails: calls pass, are refused, or are counted here by an even share of the limit.',
  }),
  callers: callersOption,
} as const
