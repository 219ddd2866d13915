// Typed values that one layer leaves on a call for later layers.

declare const valueType: unique symbol

/** The key of a fact. Made once by `defineFact` and shared by those who give and those who need it. */
export interface Fact<T> {
  readonly name: string
  readonly [valueType]?: T
}

export function defineFact<T>(name: string): Fact<T> {
  return { name }
}

/** The facts of one call. The table is made with the first fact: a call without facts pays nothing. */
export class Facts {
  #table: Map<string, unknown> | null = null

  set<T>(fact: Fact<T>, value: T): void {
    this.#table ??= new Map()
    this.#table.set(fact.name, value)
  }

  get<T>(fact: Fact<T>): T | undefined {
    return this.#table?.get(fact.name) as T | undefined
  }

  /** By name, for templates and logs. */
  named(name: string): unknown {
    return this.#table?.get(name)
  }
}
