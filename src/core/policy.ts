// How a policy and an end of a route are declared.

import type { CredentialKind, Denials, Identities } from './consumers.ts'
import type { Fact } from './facts.ts'
import type { LimitStore, LimitStoreOptions } from './limits.ts'
import type { Marks } from './marks.ts'
import type { Outside } from './outside.ts'
import type { PermitStore, PermitStoreOptions } from './permits.ts'
import type { Ports } from './ports.ts'
import type { Purges } from './purges.ts'
import type { Priority } from './priority.ts'
import type { PolicyPart, Static, TSchema } from './schema.ts'
import type { Layer, Step } from './step.ts'
import type { UpstreamBlueprint } from './upstream-schema.ts'
import type { Upstream } from './upstream.ts'

/** Where in the config a definition is being built; names things in metrics, logs and shared counters. */
export interface Place {
  /** Name of the route; empty for a policy around every route, which is built once and shared by all. */
  readonly route: string
  /** Unique and stable across reloads while the config around it stays the same, such as `catalog/policies/0`. */
  readonly key: string
}

export interface PolicyDefinition<S extends TSchema = TSchema> {
  /** The key in the config file, kebab-case. */
  readonly name: string
  /** One sentence for the reference page. */
  readonly summary: string
  /** What the user may write; the resolved value goes to `build`. */
  readonly options: S
  /** Facts that must have been left by a policy further out. */
  readonly needs?: readonly Fact<unknown>[]
  /** Facts that it needs besides, with these options: `by: consumer` needs the principal, `by: client` does not. */
  needsFor?(options: Static<S>): readonly Fact<unknown>[]
  /** Facts that this policy leaves on the call. */
  readonly gives?: readonly Fact<unknown>[]
  /**
   * Says what the schema cannot: throws `OptionsError` for options that cannot work. Called at check time with resolved
   * options, before `build`. `file` gives the text of a file that the options name, as `PolicyPorts.file` does.
   */
  check?(options: Static<S>, file?: (path: string) => string): void
  /** Which store it counts in, and whether the counts must survive a restart; for the check that this can be had. */
  counts?(options: Static<S>): { readonly store: string | null; readonly isDurable: boolean }
  /** Where calls carry what nobody may read in a log; for the access log. Names of query parameters are written plain. */
  secrets?(options: Static<S>): { readonly query: readonly string[] }
  /**
   * Names of request fields by which it tells the upstream something, such as who calls. The upstream believes them, so the
   * gateway takes fields of these names off every call that comes as far as this policy, also where `when` keeps the call from it.
   */
  owns?(options: Static<S>): readonly string[]
  /** It may answer without asking those further in: no policy that admits calls may stand there. */
  readonly isShortcut?: boolean
  /** It watches the policies that admit callers: behind all of them it would see nothing. */
  readonly isWatch?: boolean
  /** It asks what only the `clientCa` of a listener finds out. */
  readonly needsClientCa?: boolean
  /**
   * The kind of credential that callers prove themselves with, with these options: nobody can pass where no consumer can have one.
   * Null where others may pass too.
   */
  credentialFor?(options: Static<S>): CredentialKind | null
  /** It looks at lists that are kept in the folder `data`. */
  readonly needsData?: boolean
  /** It decides who may pass, as each policy that gives the principal does. */
  readonly admits?: boolean
  /** Set where it looks at what the client sent in those: then it takes them off itself, on each call that it sees. */
  readonly clearsOwned?: boolean
  /** Called once per use in the config and worker. All state lives in the returned closures. */
  build(options: Static<S>, ports: PolicyPorts, place: Place): Layer
}

/** What a policy may use besides the ports. */
export interface PolicyPorts extends Ports {
  readonly identities: Identities
  readonly denials: Denials
  readonly outside: Outside
  /** Whatever remembers replies and can be told to forget some. */
  readonly purges: Purges
  /** Grow when a path was changed, over all workers. */
  readonly marks: Marks
  /** How much all that a worker remembers of replies may take, in bytes. */
  readonly replyBytes: number
  /** How many workers share the calls of this gateway: each has its part of a bound that the config names for all. */
  readonly workers: number
  /** What counts calls for a limit. @throws Error where it cannot be had, such as a store that the config does not name. */
  limits(options: LimitStoreOptions): LimitStore
  /** What counts calls under way together with other gateways. @throws Error for a store that the config does not name. */
  permits(options: PermitStoreOptions): PermitStore
  /** Builds a policy that stands inside the options of another one; see `Policies` of schema.ts. `place` is that other's. */
  policy(part: PolicyPart, index: number, place: Place): Layer
  /** The text of a file that the options name (`format: 'file'`), by the path in the resolved options. */
  file(path: string): string
  /**
   * A thing that outlives reloads: made where there is none of this key, kept as long as a config in force asks for the same key,
   * then closed. One per worker; for caches of key sets, connections and the like. Say everything in the key that it depends on.
   */
  keep<T extends Closable>(key: string, make: () => T): T
}

export interface Closable {
  close(): void
}

/** Declares a policy; keeps the types of its options. */
export function definePolicy<S extends TSchema>(definition: PolicyDefinition<S>): PolicyDefinition<S> {
  return definition
}

/** What an end of a route may use besides the ports. */
export interface EndPorts extends Ports {
  /** The upstream of this name. The name was checked when the config was resolved. */
  upstream(name: string): Upstream
}

/** What stands at the end of a route's stack and answers: `forward`, `redirect`, `reply`. */
export interface EndDefinition<S extends TSchema = TSchema> {
  readonly name: string
  readonly summary: string
  readonly options: S
  /** As that of policies. `upstream` gives what the config says of an upstream; undefined where it is broken, or there is none. */
  check?(options: Static<S>, upstream?: (name: string) => UpstreamBlueprint | undefined): void
  /** Facts that a policy must have left on the call, with these options. */
  needsFor?(options: Static<S>): readonly Fact<unknown>[]
  /** Names of the upstreams it uses, for the check that they exist. */
  upstreams?(options: Static<S>): readonly string[]
  /** How much its calls matter when the gateway has to refuse some; `normal` where it does not say. */
  priority?(options: Static<S>): Priority
  build(options: Static<S>, ports: EndPorts, place: Place): Step
}

export function defineEnd<S extends TSchema>(definition: EndDefinition<S>): EndDefinition<S> {
  return definition
}

/** Options that the schema allows but that cannot work. `path` leads to the culprit inside the options. */
export class OptionsError extends Error {
  readonly path: readonly (string | number)[]
  /** How to mend it, one sentence. */
  readonly hint: string

  constructor(message: string, path: readonly (string | number)[] = [], hint = '') {
    super(message)
    this.name = 'OptionsError'
    this.path = path
    this.hint = hint
  }
}
