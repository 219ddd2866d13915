// The policy `introspection`: asks the issuer about each token (RFC 7662) and remembers the answer for a short time.

import { createHash } from 'node:crypto'
import type { Call } from '../../core/call.ts'
import { definePolicy, OptionsError } from '../../core/policy.ts'
import { type Principal, principal } from '../../core/principal.ts'
import { Reply } from '../../core/reply.ts'
import { Choice, Duration, Fields, OneOrMany, Secret, Type } from '../../core/schema.ts'
import type { Step } from '../../core/step.ts'
import { compileBearerRefusals, compileTokenPlace, isTokenText, tokenOptions } from '../../identity/bearer.ts'
import { compileForwardFields, forwardOption, ownedFields } from '../../identity/forward-fields.ts'
import { TokenCache } from '../../identity/token-cache.ts'
import { compileConsumer, consumerOption } from '../../identity/token-principal.ts'
import { type Answer, createAsker } from './ask.ts'

/** Most tokens whole; of a longer one its end must be what nobody else knows. */
const hashedCharacters = 256

const options = Fields({
  ...tokenOptions,
  keep: Type.Boolean({
    default: false,
    description: 'Whether the token goes on to the upstream, which could use it elsewhere.',
  }),
  url: Type.String({ description: 'Address of the introspection endpoint.' }),
  client: Fields(
    {
      id: Type.String({ minLength: 1, description: 'Client id of the gateway at the issuer.' }),
      secret: Secret({ minLength: 1, description: 'Its secret.' }),
      method: Choice(['basic', 'post'], {
        default: 'basic',
        description: 'Whether they go in the header field or in the body.',
      }),
    },
    { description: 'Who asks.' },
  ),
  issuer: OneOrMany(Type.String(), {
    default: [],
    description: 'What `iss` of the answer must be: any of these; not looked at where none is written.',
  }),
  audience: OneOrMany(Type.String(), {
    default: [],
    description: 'What `aud` of the answer must have: any of these; not looked at where none is written.',
  }),
  scopes: OneOrMany(Type.String(), { default: [], description: 'Scopes that the token must have, all of them.' }),
  consumer: consumerOption,
  ttl: Duration({ default: '60s', description: 'How long an active token is remembered, at most until it expires.' }),
  refusedTtl: Duration({ default: '10s', description: 'How long a token that is not active is remembered.' }),
  timeout: Duration({ default: '3s', description: 'How long the issuer may take.' }),
  cacheSize: Type.Integer({
    minimum: 1,
    maximum: 1_000_000,
    default: 10_000,
    description: 'Active tokens remembered by each worker, of 1 kB on average; the same number of others.',
  }),
  forward: forwardOption,
})

export const introspection = definePolicy({
  name: 'introspection',
  summary: 'Proves who calls by asking the issuer about the token (RFC 7662).',
  options,
  gives: [principal],
  owns: ownedFields,
  check({ url, forward, consumer }) {
    const parsed = URL.parse(url)
    if (!/^https?:\/\//.test(url) || parsed === null || parsed.username !== '' || parsed.password !== '') {
      throw new OptionsError(
        '`url` is no address of a server',
        ['url'],
        'Write `https://…`, without user and password.',
      )
    }
    compileForwardFields(forward)
    compileConsumer(consumer, noIdentities)
  },
  build(given, ports, place) {
    const { clock, meter } = ports
    const full = meter.counter('turnpike_ceiling_hits', { ceiling: 'introspection-tokens', name: place.route })
    const id = createHash('sha256').update(JSON.stringify(given)).digest('hex')
    const cache = { entriesMax: given.cacheSize, hashedCharacters, onFull: () => full.add(1) }
    const cacheOf = (kind: string) => ports.keep(`introspection-${kind} ${id}`, () => new TokenCache<Answer>(cache))
    const [good, bad] = [cacheOf('good'), cacheOf('bad')]
    const ask = createAsker(given, ports, place, (token, answer) => {
      ;(answer.principal === null ? bad : good).set(token, answer)
    })
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
    const admit = (call: Call, answer: Answer | null, next: Step): Promise<Reply> => {
      if (answer === null) return Promise.resolve(Reply.problem('authentication-unavailable'))
      if (answer.principal === null) return Promise.resolve(refusals.token(call, answer.reason))
      if (withConsumer === null) return pass(call, answer.principal, next)
      const who = withConsumer(answer.principal)
      return who instanceof Promise ? who.then(found => pass(call, found, next)) : pass(call, who, next)
    }
    return next =>
      function introspection(call) {
        const token = tokens.read(call)
        if (token === '') return Promise.resolve(refusals.missing(call))
        if (token === null)
          return Promise.resolve(refusals.token(call, 'the token is too long, or there is more than one'))
        const nowMs = clock.wall()
        let known = good.get(token)
        if (known === undefined || nowMs >= known.untilMs) known = bad.get(token)
        if (known !== undefined && nowMs < known.untilMs) return admit(call, known, next)
        if (!isTokenText(token)) return Promise.resolve(refusals.token(call, 'the token is written wrongly'))
        return ask(token).then(answer => admit(call, answer, next))
      }
  },
})

const noIdentities = { consumer: () => null }
