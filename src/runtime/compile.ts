// A blueprint compiled into closures: routes become steps, policies layers around them.

import type { Blueprint, PolicyUse, RouteBlueprint } from '../core/blueprint.ts'
import type { Call } from '../core/call.ts'
import type { Closable, EndDefinition, EndPorts, Place, PolicyDefinition, PolicyPorts } from '../core/policy.ts'
import { Failure } from '../core/failure.ts'
import type { LimitStore, LimitStoreOptions } from '../core/limits.ts'
import type { PermitStore, PermitStoreOptions } from '../core/permits.ts'
import { type Overload, rankOf } from '../core/overload.ts'
import type { Ports } from '../core/ports.ts'
import { Reply } from '../core/reply.ts'
import type { PolicyPart } from '../core/schema.ts'
import type { Layer, Step } from '../core/step.ts'
import type { UpstreamBlueprint } from '../core/upstream-schema.ts'
import type { Upstream } from '../core/upstream.ts'
import type { Kept } from './kept.ts'
import { compileMatch } from './match.ts'
import { answerChallenges } from './challenges.ts'
import { compileRouter } from './router/router.ts'
import { type StackedPolicy, stackPolicies } from './stack.ts'

export type KeptUpstream = Upstream & Closable & { ready(): Promise<void> }

/** What a worker has at hand to compile with. */
export interface Kit {
  readonly policies: readonly PolicyDefinition[]
  readonly ends: readonly EndDefinition[]
  readonly ports: Ports
  /** What policies may use besides. */
  readonly policyPorts: Pick<PolicyPorts, 'identities' | 'denials' | 'outside' | 'purges' | 'marks'>
  limits(options: LimitStoreOptions, keep: PolicyPorts['keep']): LimitStore
  permits(options: PermitStoreOptions, keep: PolicyPorts['keep']): PermitStore
  /** Upstreams kept over reloads. */
  readonly upstreams: Kept<KeptUpstream>
  /** What policies keep over reloads. */
  readonly things: Kept<Closable>
  makeUpstream(name: string, blueprint: UpstreamBlueprint): KeptUpstream
  /** Which part of the ceilings of upstreams this worker has; an upstream with another part is another one. */
  readonly share: { readonly ordinal: number; readonly workers: number }
  /** What threads share about the targets of an upstream, by its name; an upstream with another memory is another one. */
  readonly watched: ReadonlyMap<string, { readonly id: number }>
  /** Texts of the files that blueprints name; they are part of what makes two upstreams the same. */
  readonly files: Readonly<Record<string, string>>
  /** What proves names to ACME servers, by token; null where nothing is to be proven. */
  readonly challenges: (() => ReadonlyMap<string, string>) | null
  /** Called on each call before it is routed, to give it its id and trace; null for nothing. */
  readonly identify: ((call: Call) => void) | null
  readonly overload: Overload
  /** Keeps the values of a query parameter out of logs until it is closed. */
  hideParameter(name: string): Closable
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
  const things = new Map<string, Closable>()
  const release = () => {
    for (const { key } of held.values()) kit.upstreams.release(key)
    // The last made goes first: it may need those before it to end.
    for (const key of [...things.keys()].toReversed()) kit.things.release(key)
    held.clear()
    things.clear()
  }
  try {
    for (const [name, definition] of Object.entries(blueprint.upstreams)) {
      const { ca, cert, key: ownKey } = definition.tls
      const texts = [ca, cert, ownKey].map(path => (path === null ? null : kit.files[path]))
      const memory = kit.watched.get(name)?.id
      const key = JSON.stringify([name, definition, texts, kit.share, memory])
      held.set(name, { key, upstream: kit.upstreams.acquire(key, () => kit.makeUpstream(name, definition)) })
    }
    const upstream = (name: string): Upstream => {
      const found = held.get(name)
      if (found === undefined) throw new Error(`there is no upstream named ${name}`)
      return found.upstream
    }
    const endPorts: EndPorts = { ...kit.ports, upstream }
    const compilePolicy = createPolicyCompiler(blueprint, kit, things)
    const routes = blueprint.routes.map(route => compileRoute(route, kit, endPorts, compilePolicy))
    const answer = createAnswer(blueprint, routes, kit)
    return {
      answer: kit.challenges === null ? answer : answerChallenges(kit.challenges, answer),
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
  readonly rank: number
}

function createAnswer(blueprint: Blueprint, routes: readonly CompiledRoute[], { identify, overload }: Kit): Step {
  const router = compileRouter(blueprint.routes, blueprint.paths.case)
  return function answer(call) {
    identify?.(call)
    const routing = router.match(call)
    if (routing.kind !== 'found') return Promise.resolve(refuse(routing))
    const route = routes[routing.route] as CompiledRoute
    call.route = route.name
    call.pattern = routing.pattern
    if (overload.level > route.rank) return Promise.resolve(overload.refuse(route.rank))
    if (call.upgrade !== '' && !route.upgrades.includes(call.upgrade)) {
      // An extended CONNECT asks for nothing else (RFC 9220 §3).
      if (call.protocol === 'HTTP/2') return Promise.resolve(Reply.problem('upgrade-not-supported'))
      // RFC 9110 §7.8: an upgrade that is not wanted is ignored, and the call goes on without it.
      call.upgrade = ''
    }
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
function compileRoute(
  route: RouteBlueprint,
  kit: Kit,
  endPorts: EndPorts,
  compilePolicy: PolicyCompiler,
): CompiledRoute {
  const end = definitionOf(kit.ends, route.end.end)
  const last = end.build(route.end.options, endPorts, { route: route.name, key: `${route.name}/${end.name}` })
  const policies = route.policies.map((use, index) => compilePolicy(use, index, route.name))
  const step = policies.length === 0 ? last : stackPolicies(policies, answerFailures(last))
  const rank = rankOf(end.priority?.(route.end.options) ?? 'normal')
  return { name: route.name, upgrades: route.upgrades, step, rank }
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

type PolicyCompiler = (use: PolicyUse, index: number, route: string) => StackedPolicy

/** A policy around every route is built once: what it holds is held once, and what it counts is counted over all routes. */
function createPolicyCompiler(blueprint: Blueprint, kit: Kit, things: Map<string, Closable>): PolicyCompiler {
  const keep = <T extends Closable>(key: string, make: () => T): T => {
    if (!things.has(key)) things.set(key, kit.things.acquire(key, make))
    // The key says everything that the thing depends on, its kind included.
    return things.get(key) as T
  }
  const shared: Omit<PolicyPorts, 'policy'> = {
    ...kit.ports,
    ...kit.policyPorts,
    workers: kit.share.workers,
    replyBytes: Math.floor(blueprint.memory.replies / kit.share.workers),
    limits: options => kit.limits(options, keep),
    permits: options => kit.permits(options, keep),
    file(path) {
      const text = kit.files[path]
      if (text === undefined) throw new Error(`the file ${path} was not read with the config`)
      return text
    },
    keep,
  }
  // `owned` collects what a policy owns, with those inside it.
  const build = ({ policy, options }: PolicyPart, place: Place, owned: string[]): Layer => {
    const definition = definitionOf(kit.policies, policy)
    owned.push(...(definition.owns?.(options) ?? []))
    // Kept until the last call of this runtime has been logged.
    for (const name of definition.secrets?.(options).query ?? []) {
      keep(`hidden parameter ${name}`, () => kit.hideParameter(name))
    }
    const ports: PolicyPorts = {
      ...shared,
      policy: (part, index, { route, key }) => build(part, { route, key: `${key}/${index}/${part.policy}` }, owned),
    }
    return definition.build(options, ports, place)
  }
  const globals = new Map<number, StackedPolicy>()
  return (use, index, route) => {
    const known = use.isGlobal ? globals.get(index) : undefined
    if (known !== undefined) return known
    const name = use.isGlobal ? '' : route
    const owns: string[] = []
    const layer = build(use, { route: name, key: `${name}/policies/${index}/${use.policy}` }, owns)
    const fits = use.when === null ? null : compileMatch(use.when, blueprint.paths.case)
    const clearsOwned = definitionOf(kit.policies, use.policy).clearsOwned === true
    const policy = { layer, owns, clearsOwned, fits }
    if (use.isGlobal) globals.set(index, policy)
    return policy
  }
}

function definitionOf<T extends { readonly name: string }>(definitions: readonly T[], name: string): T {
  const found = definitions.find(definition => definition.name === name)
  if (found === undefined) throw new Error(`there is no definition named ${name}`)
  return found
}
