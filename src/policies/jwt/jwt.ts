// The policy `jwt`: proves who calls by a signed token.

import { createHash, createSecretKey } from 'node:crypto'
import type { Call } from '../../core/call.ts'
import { definePolicy, OptionsError, type PolicyPorts } from '../../core/policy.ts'
import { type Principal, principal } from '../../core/principal.ts'
import { Reply } from '../../core/reply.ts'
import { Choice, Duration, Fields, Maybe, Named, OneOrMany, Secret, type Static, Type } from '../../core/schema.ts'
import type { Step } from '../../core/step.ts'
import { compileBearerRefusals, compileTokenPlace, tokenOptions } from '../../identity/bearer.ts'
import { compileForwardFields, forwardOption, ownedFields } from '../../identity/forward-fields.ts'
import { fixedKeySet, type KeySet, RemoteKeySet } from '../../identity/key-set.ts'
import { publicAlgorithms, secretAlgorithms } from '../../identity/signature.ts'
import { compileConsumer, consumerOption } from '../../identity/token-principal.ts'
import { createVerifier, type Verdict } from './verifier.ts'

const keysSchema = Fields({
  url: Maybe(Type.String({ description: 'Address of the key set (JWKS).' })),
  file: Maybe(Type.String({ format: 'file', description: 'File with a key set.' })),
  secret: Maybe(Secret({ description: 'Shared secret for HS256 and its kin, 32 bytes or more.' })),
  secretEncoding: Choice(['text', 'base64', 'base64url'], {
    default: 'text',
    description: 'How `secret` is written: as it is, or as base64 of its bytes.',
  }),
  refresh: Duration({ default: '10m', description: 'How often the set is fetched again.' }),
  cooldown: Duration({ default: '30s', description: 'The least time between two fetches for unknown key ids.' }),
  staleFor: Duration({ default: '1d', description: 'How long old keys are good while the server does not answer.' }),
  timeout: Duration({ default: '5s', description: 'How long one fetch may take.' }),
})

const options = Fields({
  ...tokenOptions,
  keep: Type.Boolean({ default: true, description: 'Whether the token goes on to the upstream.' }),
  keys: { ...keysSchema, description: 'What signatures are checked with: one of `url`, `file` and `secret`.' },
  issuer: OneOrMany(Type.String(), { minItems: 1, description: 'What `iss` must be: any of these.' }),
  audience: OneOrMany(Type.String(), {
    description: 'What `aud` must have: any of these. `[]` takes tokens for anybody.',
  }),
  algorithms: Type.Array(Choice([...publicAlgorithms, ...secretAlgorithms]), {
    default: [],
    description: 'Algorithms that may sign; all that fit the keys where none is written.',
  }),
  type: Maybe(Type.String({ description: 'What `typ` must be, such as `at+jwt`.' })),
  clockSkew: Duration({ default: '30s', description: 'How far the clocks of issuer and gateway may be apart.' }),
  maxAge: Maybe(Duration({ description: 'How old a token may be by its `iat`.' })),
  claims: Named(
    Fields({
      oneOf: OneOrMany(Type.Unsafe<string | number | boolean>({ type: ['string', 'number', 'boolean'] }), {
        default: [],
        description: 'Values of which the claim must be or have one; any value where none is written.',
      }),
    }),
    { default: {}, description: 'Claims that must be there.' },
  ),
  scopes: OneOrMany(Type.String(), { default: [], description: 'Scopes that the token must have, all of them.' }),
  consumer: consumerOption,
  cacheSize: Type.Integer({
    minimum: 1,
    maximum: 1_000_000,
    default: 10_000,
    description: 'Verified tokens remembered by each worker, of 1 kB on average; the same number of refused ones.',
  }),
  forward: forwardOption,
})

export type JwtOptions = Static<typeof options>

export const jwt = definePolicy({
  name: 'jwt',
  summary: 'Proves who calls by a signed token (JWT).',
  options,
  gives: [principal],
  owns: ownedFields,
  check,
  build(given, ports, place) {
    const verifier = createVerifier(given, keysOf(given, ports), ports, place)
    const tokens = compileTokenPlace(given.from, given.tokenSize)
    const refusals = compileBearerRefusals(given.realm, given.scopes)
    const fields = compileForwardFields(given.forward)
    const withConsumer = compileConsumer(given.consumer, ports.identities)
    const pass = (call: Call, who: Principal | null, next: Step): Promise<Reply> => {
      if (who === null) return Promise.resolve(refusals.token(call, 'the token leads to no consumer'))
      const refusal = refusals.scopes(call, who)
      if (refusal !== null) return Promise.resolve(refusal)
      if (!given.keep) tokens.remove(call)
      call.facts.set(principal, who)
      fields.write(call, who)
      return next(call)
    }
    const admit = (call: Call, verdict: Verdict, next: Step): Promise<Reply> => {
      if (verdict === 'unavailable') return Promise.resolve(Reply.problem('authentication-unavailable'))
      if (typeof verdict === 'string') return Promise.resolve(refusals.token(call, verdict))
      if (withConsumer === null) return pass(call, verdict.principal, next)
      const who = withConsumer(verdict.principal)
      return who instanceof Promise ? who.then(found => pass(call, found, next)) : pass(call, who, next)
    }
    return next =>
      function jwt(call) {
        const token = tokens.read(call)
        if (token === '') return Promise.resolve(refusals.missing(call))
        if (token === null)
          return Promise.resolve(refusals.token(call, 'the token is too long, or there is more than one'))
        const known = verifier.known(token)
        if (known !== null) return admit(call, known, next)
        return verifier.verify(token).then(verdict => admit(call, verdict, next))
      }
  },
})

function check({ keys, algorithms, forward, consumer }: JwtOptions): void {
  const count = [keys.url, keys.file, keys.secret].filter(value => value !== null).length
  if (count !== 1) {
    throw new OptionsError('`keys` needs exactly one source', ['keys'], 'Write one of `url`, `file` and `secret`.')
  }
  const url = keys.url === null ? null : URL.parse(keys.url)
  if (keys.url !== null && (!/^https?:\/\//.test(keys.url) || url === null || url.username + url.password !== '')) {
    const hint = 'Write `https://…`, without user and password.'
    throw new OptionsError('`url` is no address of a server', ['keys', 'url'], hint)
  }
  const secret = secretOf(keys)
  if (secret !== null && secret.length < 32) {
    throw new OptionsError('`secret` is too short', ['keys', 'secret'], 'Write 32 bytes or more.')
  }
  const misfit = algorithms.find(name => name.startsWith('HS') !== (keys.secret !== null))
  if (misfit !== undefined) {
    throw new OptionsError(
      `\`${misfit}\` does not fit the keys`,
      ['algorithms'],
      'HS256 and its kin are for `secret`, the others for key sets: a public key must never be taken for a secret.',
    )
  }
  compileForwardFields(forward)
  compileConsumer(consumer, noIdentities)
}

const noIdentities = { consumer: () => null }

type Keys = JwtOptions['keys']

/** @throws OptionsError */
function secretOf({ secret, secretEncoding }: Pick<Keys, 'secret' | 'secretEncoding'>): Buffer | null {
  if (secret === null) return null
  if (secretEncoding === 'text') return Buffer.from(secret)
  const bytes = Buffer.from(secret, secretEncoding)
  const bare = secret.replace(/=+$/, '')
  if (bytes.toString(secretEncoding).replace(/=+$/, '') === bare) return bytes
  throw new OptionsError(`\`secret\` is not ${secretEncoding}`, ['keys', 'secret'], 'Correct it or `secretEncoding`.')
}

function keysOf({ keys }: JwtOptions, ports: PolicyPorts): KeySet {
  const bytes = secretOf(keys)
  if (bytes !== null) {
    const key = createSecretKey(bytes)
    const secret = { id: '', algorithms: secretAlgorithms, key, isLive: true, thumbprint: '' }
    return {
      candidates: (_, name) => (secret.algorithms.some(known => known === name) ? [secret] : []),
      isUsable: () => true,
      renew: () => null,
    }
  }
  if (keys.file !== null) return fixedKeySet(ports.file(keys.file))
  const { url, refresh, cooldown, staleFor, timeout } = keys
  const settings = { url: url ?? '', refreshMs: refresh, cooldownMs: cooldown, staleForMs: staleFor }
  const key = createHash('sha256')
    .update(JSON.stringify([settings, timeout]))
    .digest('hex')
  return ports.keep(`key-set ${key}`, () => new RemoteKeySet({ ...settings, timeoutMs: timeout }, ports))
}
