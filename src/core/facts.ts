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

/**
 * The facts of one call.
 *
 * Hot path: a flat list of names and values, because a call has two or three facts and a `Map` for them costs more than all
 * look-ups. A call without facts pays nothing.
 */
export class Facts {
  #list: unknown[] | null = null

  set<T>(fact: Fact<T>, value: T): void {
    const at = this.#find(fact.name)
    if (at > 0) (this.#list as unknown[])[at] = value
    else if (this.#list === null) this.#list = [fact.name, value]
    else this.#list.push(fact.name, value)
  }

  get<T>(fact: Fact<T>): T | undefined {
    return this.named(fact.name) as T | undefined
  }

  /** By name, for templates and logs. */
  named(name: string): unknown {
    const at = this.#find(name)
    return at > 0 ? this.#list?.[at] : undefined
  }

  /** Takes over all facts of another call; what is left later on either is not seen on the other. */
  adopt(other: Facts): void {
    this.#list = other.#list === null ? null : [...other.#list]
  }

  /** Where the value stands; 0 where there is none. */
  #find(name: string): number {
    const list = this.#list
    if (list !== null) for (let at = 1; at < list.length; at += 2) if (list[at - 1] === name) return at
    return 0
  }
}
