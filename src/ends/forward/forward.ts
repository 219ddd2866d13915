// The end `forward`: sends the call to an upstream, with another path or Host where the config says so.

import type { Call } from '../../core/call.ts'
import { defineEnd, type EndPorts, OptionsError } from '../../core/policy.ts'
import { principal } from '../../core/principal.ts'
import { priority } from '../../core/priority.ts'
import type { Reply } from '../../core/reply.ts'
import { Choice, Fields, Maybe, OneOrMany, Shorthand, type Static, TemplateText, Type } from '../../core/schema.ts'
import type { Step } from '../../core/step.ts'
import type { UpstreamBlueprint } from '../../core/upstream-schema.ts'
import { checkMirror, createMirror, mirrorOption } from './mirror.ts'
import { checkRewrite, compileRewrite } from './rewrite.ts'
import { checkRetry, retryOption, routeRetryOf } from './route-retry.ts'
import { checkSplit, createSplit, sideOption } from './split.ts'
import { checkSticky, stickyOption } from './sticky.ts'

const options = Shorthand(
  'to',
  Fields({
    to: Maybe(Type.String({ description: 'Name of the upstream.', examples: ['catalog'] })),
    split: Maybe(
      Type.Array(sideOption, {
        minItems: 1,
        description: 'In place of `to`: several upstreams, each with its weight.',
      }),
    ),
    sticky: stickyOption,
    path: Maybe(
      TemplateText({
        description: 'Another path for the upstream; the query stays unless the template holds a `?`.',
        examples: ['/v2/{rest}'],
      }),
    ),
    host: Maybe(
      TemplateText({ description: 'Another Host for the upstream.', examples: ['catalog.internal', '{host}'] }),
    ),
    mirror: OneOrMany(mirrorOption, {
      default: [],
      description: 'Upstreams that get copies of the calls; their answers are thrown away.',
    }),
    retry: retryOption,
    priority: Choice(['high', 'normal', 'low'], {
      default: 'normal',
      description:
        'Which calls go first when an upstream with `adaptive`, or the gateway itself (`overload`), must turn some away; `low` is turned away first.',
    }),
  }),
)

type Options = Static<typeof options>

export const forward = defineEnd({
  name: 'forward',
  summary: 'Sends the call to an upstream.',
  options,
  check,
  needsFor: ({ sticky }) => (sticky === 'consumer' ? [principal] : []),
  upstreams: ({ to, split, mirror }) => [
    ...(to === null ? [] : [to]),
    ...[...(split ?? []), ...mirror].map(other => other.to),
  ],
  priority: given => given.priority,
  build(given, ports, place) {
    const send = given.mirror.reduceRight(
      (step, mirror) => createMirror(mirror, ports, place)(step),
      createSend(given, ports),
    )
    const rewrite = compileRewrite(given)
    const mark = given.priority === 'normal' ? null : given.priority
    if (rewrite === null && mark === null) return send
    return function forward(call: Call): Promise<Reply> {
      if (mark !== null) call.facts.set(priority, mark)
      try {
        rewrite?.(call)
      } catch (failure) {
        return Promise.reject(failure)
      }
      return send(call)
    }
  },
})

function createSend({ to, split, sticky, retry }: Options, ports: EndPorts): Step {
  const rule = routeRetryOf(retry)
  const stepOf = (name: string): Step => {
    const upstream = ports.upstream(name)
    if (rule === null) return call => upstream.send(call)
    return call => {
      call.retry = rule
      return upstream.send(call)
    }
  }
  return split === null ? stepOf(to ?? '') : createSplit(split, sticky, stepOf, ports.random)
}

function check(
  { to, split, sticky, path, host, mirror, retry }: Options,
  upstreamOf: UpstreamOf = () => undefined,
): void {
  if ((to === null) === (split === null)) {
    const what = to === null ? 'names no upstream' : 'has both `to` and `split`'
    throw new OptionsError(`\`forward\` ${what}`, split === null ? [] : ['split'], 'Write either `to` or `split`.')
  }
  if (sticky !== null && split === null) {
    throw new OptionsError(
      '`sticky` has no effect without `split`',
      ['sticky'],
      'Write `split`, or leave `sticky` out.',
    )
  }
  if (split !== null) checkSplit(split)
  if (sticky !== null) checkSticky(sticky)
  checkRewrite({ path, host })
  for (const [index, one] of mirror.entries()) checkMirror(one, ['mirror', index])
  checkRetry(retry, knownOf(split === null ? [to ?? ''] : split.map(side => side.to), upstreamOf))
}

type UpstreamOf = (name: string) => UpstreamBlueprint | undefined

function knownOf(names: readonly string[], upstreamOf: UpstreamOf): ReadonlyMap<string, UpstreamBlueprint> {
  const known = new Map<string, UpstreamBlueprint>()
  for (const name of names) {
    const upstream = upstreamOf(name)
    if (upstream !== undefined) known.set(name, upstream)
  }
  return known
}
