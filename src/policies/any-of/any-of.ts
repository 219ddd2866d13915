// The policy `any-of`: authentication by the first of several policies that succeeds.

import type { Body } from '../../core/body.ts'
import type { Call } from '../../core/call.ts'
import { defineFact } from '../../core/facts.ts'
import { Failure } from '../../core/failure.ts'
import { definePolicy, OptionsError } from '../../core/policy.ts'
import { principal } from '../../core/principal.ts'
import type { Reply } from '../../core/reply.ts'
import { Fields, Policies, type PolicyPart, Shorthand } from '../../core/schema.ts'
import type { Step } from '../../core/step.ts'

export const anyOf = definePolicy({
  name: 'any-of',
  summary: 'Lets calls pass that any of several authentication policies lets pass.',
  gives: [principal],
  options: Shorthand(
    'policies',
    Fields({
      policies: Policies({
        giving: 'principal',
        minItems: 2,
        description:
          'Asked in this order, until one succeeds. One that answers with a redirect, such as `oidc`, goes last.',
      }),
    }),
  ),
  check({ policies }) {
    const open = policies.findIndex(letsEverybodyIn)
    if (open === -1 || open === policies.length - 1) return
    const message = '`anonymous` lets everybody in, so nobody comes to those behind it'
    throw new OptionsError(message, ['policies', open], 'Put `anonymous` last.')
  },
  build({ policies }, ports, place) {
    const layers = policies.map((part, index) => ports.policy(part, index, place))
    const attempted = defineFact<Attempt>(`any-of ${place.key}`)
    return next => {
      // Only a call that came here was let pass: a 401 from further in is no failure of the alternative.
      const within: Step = call => {
        const attempt = call.facts.get(attempted)
        if (attempt === undefined) throw new Error('any-of was passed by a call that never entered it')
        attempt.hasPassed = true
        call.refusal = attempt.refusal
        return next(call)
      }
      const [first, ...others] = layers.map(layer => layer(within)) as [Step, ...Step[]]
      return function anyOf(call) {
        const attempt = new Attempt(call)
        call.facts.set(attempted, attempt)
        let reply: Promise<Reply>
        try {
          reply = first(call)
        } catch (thrown) {
          reply = Promise.reject(thrown)
        }
        return attempt.hasPassed ? reply : settle(call, attempt, reply, others)
      }
    }
  },
})

/** `anonymous` that stands for a consumer fails where there is none of that name. */
function letsEverybodyIn({ policy, options }: PolicyPart): boolean {
  const hasConsumer =
    typeof options === 'object' && options !== null && 'consumer' in options && options.consumer !== null
  return policy === 'anonymous' && !hasConsumer
}

/** What a call was before anybody touched it, and whether an alternative has let it pass. */
class Attempt {
  hasPassed = false
  readonly refusal: string
  readonly #target: string
  readonly #body: Body
  readonly #fields: readonly string[]

  constructor({ refusal, target, body, headers }: Call) {
    this.refusal = refusal
    this.#target = target
    this.#body = body
    this.#fields = headers.list.slice()
  }

  /** Takes back what a failed alternative did to the call, such as removing its own credential. */
  restore(call: Call): void {
    call.target = this.#target
    // A body that was read stays what the reader made of it.
    if (!this.#body.isUsed) call.body = this.#body
    const { list } = call.headers
    list.length = 0
    for (const text of this.#fields) list.push(text)
  }
}

type Outcome = { readonly reply: Reply } | { readonly thrown: unknown }

/** Waits for an alternative and, where it fails, asks the others. */
async function settle(call: Call, attempt: Attempt, first: Promise<Reply>, others: readonly Step[]): Promise<Reply> {
  const outcomes: Outcome[] = []
  for (let index = -1; index < others.length; index++) {
    let outcome: Outcome
    try {
      outcome = { reply: await (index < 0 ? first : (others[index] as Step)(call)) }
    } catch (thrown) {
      if (attempt.hasPassed || call.abandonReason !== null || Failure.from(thrown).status === 0) throw thrown
      outcome = { thrown }
    }
    if ('reply' in outcome && (attempt.hasPassed || outcome.reply.status < 400)) {
      for (const { reply } of repliesOf(outcomes)) reply.body.cancel()
      return outcome.reply
    }
    outcomes.push(outcome)
    attempt.restore(call)
  }
  return worst(outcomes)
}

/** The gravest answer: a client may come back after a 503, but would not after a 401. */
function worst(outcomes: readonly Outcome[]): Reply {
  const [gravest, ...rest] = [...outcomes].sort((a, b) => gravity(b) - gravity(a)) as [Outcome, ...Outcome[]]
  const others = repliesOf(rest).map(({ reply }) => reply)
  for (const { body } of others) body.cancel()
  if ('thrown' in gravest) throw gravest.thrown
  const { reply } = gravest
  if (reply.status !== 401) return reply
  const challenges = new Set(reply.headers.all('www-authenticate'))
  for (const challenge of others.flatMap(({ headers }) => headers.all('www-authenticate'))) {
    if (!challenges.has(challenge)) reply.headers.add('www-authenticate', challenge)
    challenges.add(challenge)
  }
  return reply
}

function gravity(outcome: Outcome): number {
  const status = 'reply' in outcome ? outcome.reply.status : Failure.from(outcome.thrown).status
  if (status >= 500) return 3
  if (status === 429) return 2
  return status === 401 ? 0 : 1
}

function repliesOf(outcomes: readonly Outcome[]): { readonly reply: Reply }[] {
  return outcomes.filter(outcome => 'reply' in outcome)
}
