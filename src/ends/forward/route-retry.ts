// What a route says of further tries, in place of its upstream.

import { OptionsError } from '../../core/policy.ts'
import { isGrpcReason, type RouteRetry, routeRetrySchema } from '../../core/retry-schema.ts'
import type { Static } from '../../core/schema.ts'
import type { UpstreamBlueprint } from '../../core/upstream-schema.ts'

export const retryOption = routeRetrySchema

export type RetryOption = Static<typeof retryOption>

/** Null where the route says nothing. */
export function routeRetryOf(retry: RetryOption): RouteRetry | null {
  return retry === false ? { attempts: 0, on: null } : retry
}

/** @throws OptionsError. `upstreams` are those that calls of the route go to, as far as they are known. */
export function checkRetry(retry: RetryOption, upstreams: ReadonlyMap<string, UpstreamBlueprint>): void {
  if (retry === null || retry === false) return
  const { attempts, on } = retry
  if (attempts === null && on === null) {
    throw new OptionsError('`retry` changes nothing', ['retry'], 'Write `false`, or `attempts`, or `on`.')
  }
  if (attempts === 0) {
    if (on === null) return
    throw new OptionsError('`on` has no effect with `attempts: 0`', ['retry', 'on'], 'Write `retry: false`.')
  }
  for (const [name, upstream] of upstreams) checkBeside(retry, name, upstream)
}

function checkBeside({ attempts, on }: RouteRetry, name: string, upstream: UpstreamBlueprint): void {
  if (upstream.retry === null) {
    throw new OptionsError(
      `\`retry\` changes what the upstream \`${name}\` says of further tries, but it says nothing`,
      ['retry'],
      `Write \`retry: { attempts: 0 }\` at \`${name}\` for one whose calls are only tried again where a route says so.`,
    )
  }
  if (attempts === null && upstream.retry.attempts === 0) {
    const message = `\`on\` has no effect, for the upstream \`${name}\` has \`attempts: 0\``
    throw new OptionsError(message, ['retry', 'on'], 'Write `attempts` beside it.')
  }
  const at = upstream.protocol === 'http1' ? (on ?? []).findIndex(isGrpcReason) : -1
  if (at === -1) return
  const message = `\`${on?.[at]}\` has no effect, for the upstream \`${name}\` has \`protocol: http1\`, which cannot carry gRPC`
  throw new OptionsError(
    message,
    ['retry', 'on', at],
    'Write `protocol: http2` there, or leave the statuses of gRPC out.',
  )
}
