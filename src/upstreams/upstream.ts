// An upstream as a whole: its endpoints, the choice among them, and what happens when a try fails.

import type { UpstreamBlueprint } from '../core/blueprint.ts'
import type { Call } from '../core/call.ts'
import { Failure } from '../core/failure.ts'
import type { Ports } from '../core/ports.ts'
import { compileTemplate } from '../core/template.ts'
import type { Upstream } from '../core/upstream.ts'
import { createBalancer } from './balance.ts'
import { Directory } from './directory.ts'
import type { Endpoint, EndpointAddress } from './endpoint.ts'
import type { Lookup } from './lookup.ts'
import { type StartTimer, startTimer } from './pause.ts'
import { createSender } from './retry.ts'
import { combineObservers } from './try-observer.ts'

export interface UpstreamParts {
  readonly lookup: Lookup
  /** Makes the endpoint of an address; the upstream closes it. */
  readonly open: (address: EndpointAddress, weight: number) => Endpoint
  readonly startTimer?: StartTimer
}

/** An upstream with its end: whoever made it closes it when the last runtime that uses it is gone. */
export interface OwnedUpstream extends Upstream {
  /** Settles once every name of its targets was looked up, with or without success, or after five seconds. */
  ready(): Promise<void>
  /** Names of targets for which no address is known. */
  readonly unresolved: readonly string[]
  /** Calls under way end; new ones fail. */
  close(): void
}

export function createUpstream(
  name: string,
  blueprint: UpstreamBlueprint,
  ports: Ports,
  parts: UpstreamParts,
): OwnedUpstream {
  const { targets, dns, retry, timeouts } = blueprint
  const directory = new Directory({ name, targets, refreshMs: dns.refresh, ...parts, ports })
  const balancer = createBalancer(blueprint.balance, { random: ports.random, hashOf: createKey(blueprint.hashBy) })
  const send = createSender({
    name,
    retry,
    callMs: timeouts.call,
    pick: (call, tried) => balancer.pick(call, directory.endpoints, tried),
    noEndpoint: () => explainNoEndpoint(name, directory),
    observe: combineObservers([]),
    ports,
    startTimer: parts.startTimer ?? startTimer,
  })
  return {
    name,
    send,
    ready: () => directory.ready(),
    get unresolved() {
      return directory.unresolved
    },
    close: () => directory.close(),
  }
}

function createKey(hashBy: string | null): (call: Call) => string {
  if (hashBy === null) return call => call.clientAddress
  const template = compileTemplate(hashBy)
  return call => template.render(call)
}

function explainNoEndpoint(name: string, directory: Directory): Failure {
  if (directory.unresolved.length > 0) {
    const detail = `upstream ${name}: no address is known for ${directory.unresolved.join(', ')}`
    return new Failure('upstream-unresolved', { detail, retryable: 'yes' })
  }
  return new Failure('upstream-connect-failed', {
    detail: `upstream ${name}: it is closed, or every target has weight 0`,
    retryable: 'yes',
  })
}
