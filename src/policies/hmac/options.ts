// The options of the policy `hmac`, and what of them can be worked out once.

import { OptionsError } from '../../core/policy.ts'
import { Choice, Duration, Fields, Maybe, Named, OneOrMany, Size, type Static, Type } from '../../core/schema.ts'
import { compileForwardFields, forwardOption } from '../../identity/forward-fields.ts'
import { readItem, writeString } from '../../identity/structured-fields.ts'
import { compileComponent, type Component } from './components.ts'
import type { SignedRules } from './signed.ts'

export const hmacOptions = Fields({
  cover: OneOrMany(Type.String({ minLength: 1 }), {
    minItems: 1,
    default: ['@method', '@authority', '@path', '@query'],
    description:
      'What a signature must cover, besides `content-digest` of a call with a body: names of components, or whole identifiers such as `"@query-param";name="id"`. `@target-uri` covers `@scheme`, `@authority`, `@path` and `@query`.',
  }),
  maxAge: Duration({ default: '1m', description: 'How old a signature may be by its `created`.' }),
  clockSkew: Duration({ default: '30s', description: 'How far the clocks of client and gateway may be apart.' }),
  tag: Maybe(Type.String({ pattern: '^[ -~]+$', description: 'The `tag` that the signature must have.' })),
  replay: Choice(['signature', 'nonce', 'none'], {
    default: 'signature',
    description:
      'How a signature is told from one that was used before: by its nonce or, without one, by all it signs (`signature`); by its nonce, which must be there (`nonce`); or not at all (`none`).',
  }),
  store: Maybe(
    Type.String({
      description:
        'A name of `stores`, to remember used signatures in; the memory of this gateway where it is not written.',
    }),
  ),
  remembered: Type.Integer({
    minimum: 1,
    maximum: 10_000_000,
    default: 65_536,
    description:
      'How many used signatures the memory of this gateway holds at once, at about 600 bytes each; further calls are answered 503 until some are too old to be used.',
  }),
  bodyMax: Size({
    default: '1MB',
    description: 'The largest body; it is held in memory until its digest was checked.',
  }),
  structured: Named(Choice(['item', 'list', 'dictionary']), {
    default: {},
    description: 'Types of structured fields of your own that `sf` may stand at: `{ x-order: dictionary }`.',
  }),
  signatures: Type.Integer({ default: 4, minimum: 1, maximum: 16, description: 'The most signatures of a call.' }),
  components: Type.Integer({
    default: 32,
    minimum: 1,
    maximum: 100,
    description: 'The most components of a signature.',
  }),
  fieldSize: Size({
    default: '8kB',
    description: 'The longest `Signature-Input`, `Signature`, and field that is read for `sf` or `key`.',
  }),
  verifications: Type.Integer({
    default: 256,
    minimum: 1,
    maximum: 10_000,
    description: 'How many calls each worker verifies at once; more are answered 503.',
  }),
  acceptSignature: Type.Boolean({
    default: true,
    description: 'Whether a 401 says in `Accept-Signature` what is to be signed.',
  }),
  realm: Type.String({
    default: 'api',
    pattern: '^[ -~]*$',
    description: 'What `WWW-Authenticate` calls the protected space.',
  }),
  scopes: OneOrMany(Type.String(), { default: [], description: 'Scopes that the key must have, all of them.' }),
  forward: forwardOption,
})

export type HmacOptions = Static<typeof hmacOptions>

export function rulesOf({ structured, signatures, components, fieldSize }: HmacOptions): SignedRules {
  const types = Object.fromEntries(Object.entries(structured).map(([name, type]) => [name.toLowerCase(), type]))
  const maxima = { parsedMax: fieldSize, fieldMax: fieldSize, signaturesMax: signatures, componentsMax: components }
  return { types, ...maxima }
}

/** What must be covered. @throws OptionsError for what is no component */
export function compileCover(options: HmacOptions): readonly Component[] {
  return options.cover.map((text, index) => {
    const item = readItem(text.startsWith('"') ? text : writeString(text))
    const component = item === null ? 'it is no component identifier' : compileComponent(item, rulesOf(options))
    if (typeof component !== 'string') return component
    const hint =
      'Write `@method`, the name of a field in lower case, or an identifier such as `"@query-param";name="id"`.'
    throw new OptionsError(`\`${text}\` cannot be covered: ${component}`, ['cover', index], hint)
  })
}

export function checkHmac(options: HmacOptions): void {
  compileForwardFields(options.forward)
  compileCover(options)
  if (options.store !== null && options.replay === 'none') {
    throw new OptionsError('`store` has nothing to remember', ['store'], 'Remove `store`, or set `replay`.')
  }
}
