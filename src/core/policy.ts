// How a policy and an end of a route are declared.

import type { Fact } from './facts.ts'
import type { Ports } from './ports.ts'
import type { Static, TSchema } from './schema.ts'
import type { Layer, Step } from './step.ts'
import type { Upstream } from './upstream.ts'

/** Where in the config a definition is being built; names things in metrics, logs and shared counters. */
export interface Place {
  /** Name of the route; empty where the definition is used outside a route. */
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
  /** Facts that this policy leaves on the call. */
  readonly gives?: readonly Fact<unknown>[]
  /**
   * Says what the schema cannot: throws `OptionsError` for options that cannot work. Called at check time with resolved
   * options, before `build`.
   */
  check?(options: Static<S>): void
  /** Called once per use in the config and worker. All state lives in the returned closures. */
  build(options: Static<S>, ports: Ports, place: Place): Layer
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
  check?(options: Static<S>): void
  /** Names of the upstreams it uses, for the check that they exist. */
  upstreams?(options: Static<S>): readonly string[]
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
