// A blueprint compiled into closures: routes become steps, policies layers around them.

import type { Blueprint, PolicyUse, RouteBlueprint, UpstreamBlueprint } from '../core/blueprint.ts'
import type { Call } from '../core/call.ts'
import type { EndDefinition, EndPorts, PolicyDefinition } from '../core/policy.ts'
import { Failure } from '../core/failure.ts'
import type { Ports } from '../core/ports.ts'
import { Reply } from '../core/reply.ts'
import type { Layer, Step } from '../core/step.ts'
import type { Upstream } from '../core/upstream.ts'
import type { Closable, Kept } from './kept.ts'
import { compileMatch } from './match.ts'
import { compileRouter } from './router/router.ts'

export type KeptUpstream = Upstream & Closable & { ready(): Promise<void> }

/** What a worker has at hand to compile with. */
export interface Kit {
  readonly policies: readonly PolicyDefinition[]
  readonly ends: readonly EndDefinition[]
  readonly ports: Ports
  /** Upstreams kept over reloads. */
  readonly upstreams: Kept<KeptUpstream>
  makeUpstream(name: string, blueprint: UpstreamBlueprint): KeptUpstream
  /** Which part of the ceilings of upstreams this worker has; an upstream with another part is another one. */
  readonly share: { readonly ordinal: number; readonly workers: number }
  /** Texts of the files that blueprints name; they are part of what makes two upstreams the same. */
  readonly files: Readonly<Record<string, string>>
  /** Called on each call before it is routed, to give it its id and trace; null for nothing. */
  readonly identify: ((call: Call) => void) | null
}

export interface Runtime {
  /** Routes the call and answers it. */
  readonly answer: Step
  /** Resolves when the names of all upstreams were looked up once, with or without success. */
  ready(): Promise<void>
  /** Gives back what it held. To be called when no call is on it any more. */
  release(): void
}

/** Throws where the blueprint cannot be built; then nothing is held. */
export function compileRuntime(blueprint: Blueprint, kit: Kit): Runtime {
  const held = new Map<string, { readonly key: string; readonly upstream: KeptUpstream }>()
  const release = () => {
    for (const { key } of held.values()) kit.upstreams.release(key)
    held.clear()
  }
  try {
    for (const [name, definition] of Object.entries(blueprint.upstreams)) {
      const ca = definition.tls.ca
      const key = JSON.stringify([name, definition, ca === null ? null : kit.files[ca], kit.share])
      held.set(name, { key, upstream: kit.upstreams.acquire(key, () => kit.makeUpstream(name, definition)) })
    }
    const upstream = (name: string): Upstream => {
      const found = held.get(name)
      if (found === undefined) throw new Error(`there is no upstream named ${name}`)
      return found.upstream
    }
    const endPorts: EndPorts = { ...kit.ports, upstream }
    const routes = blueprint.routes.map(route => compileRoute(route, blueprint, kit, endPorts))
    return {
      answer: createAnswer(blueprint, routes, kit.identify),
      ready: async () => void (await Promise.all([...held.values()].map(({ upstream }) => upstream.ready()))),
      release,
    }
  } catch (error) {
    release()
    throw error
  }
}

interface CompiledRoute {
  readonly name: string
  readonly upgrades: readonly string[]
  readonly step: Step
}

function createAnswer(blueprint: Blueprint, routes: readonly CompiledRoute[], identify: Kit['identify']): Step {
  const router = compileRouter(blueprint.routes, blueprint.paths.case)
  return function answer(call) {
    identify?.(call)
    const routing = router.match(call)
    if (routing.kind !== 'found') return Promise.resolve(refuse(routing))
    const route = routes[routing.route] as CompiledRoute
    call.route = route.name
    call.pattern = routing.pattern
    // RFC 9110 §7.8: an upgrade that is not wanted is ignored, and the call goes on without it.
    if (call.upgrade !== '' && !route.upgrades.includes(call.upgrade)) call.upgrade = ''
    return route.step(call)
  }
}

function refuse(routing: { kind: 'not-found' } | { kind: 'method-not-allowed'; allow: string }): Reply {
  if (routing.kind === 'not-found') return Reply.problem('route-not-found')
  const reply = Reply.problem('method-not-allowed')
  reply.headers.add('allow', routing.allow)
  return reply
}

/** The stack of a route, from the inside out. What breaks at its end is a reply to its policies, so that CORS and headers hold. */
function compileRoute(route: RouteBlueprint, blueprint: Blueprint, kit: Kit, endPorts: EndPorts): CompiledRoute {
  const end = definitionOf(kit.ends, route.end.end)
  let step = end.build(route.end.options, endPorts, { route: route.name, key: `${route.name}/${end.name}` })
  if (route.policies.length > 0) step = answerFailures(step)
  for (let i = route.policies.length - 1; i >= 0; i--) {
    step = compilePolicy(route.policies[i] as PolicyUse, i, route, blueprint, kit)(step)
  }
  return { name: route.name, upgrades: route.upgrades, step }
}

/** A call whose client has gone is answered by nobody: its failure goes on to the edge. */
function answerFailures(step: Step): Step {
  return call =>
    step(call).catch((thrown: unknown) => {
      const failure = Failure.from(thrown)
      if (failure.code === 'internal' || failure.status === 0) throw thrown
      return Reply.ofFailure(failure)
    })
}

function compilePolicy(use: PolicyUse, index: number, route: RouteBlueprint, blueprint: Blueprint, kit: Kit): Layer {
  const policy = definitionOf(kit.policies, use.policy)
  const key = `${route.name}/policies/${index}/${policy.name}`
  const layer = policy.build(use.options, kit.ports, { route: route.name, key })
  if (use.when === null) return layer
  const fits = compileMatch(use.when, blueprint.paths.case)
  return next => {
    const within = layer(next)
    return call => (fits(call) ? within(call) : next(call))
  }
}

function definitionOf<T extends { readonly name: string }>(definitions: readonly T[], name: string): T {
  const found = definitions.find(definition => definition.name === name)
  if (found === undefined) throw new Error(`there is no definition named ${name}`)
  return found
}
