// What is to be taken out of the caches of replies, and who has such a cache.

import type { Closable } from './policy.ts'

/** `url` and `prefix` are a path with its query, behind `//host` or for any host; `route` is the name of a route. */
export interface Purge {
  readonly by: 'url' | 'prefix' | 'tag' | 'route' | 'all'
  /** Empty for `all`. */
  readonly value: string
}

export interface Purgeable {
  /** Takes out what fits, also what is on its way in; returns how many replies were there. */
  purge(purge: Purge): number
}

/** Everything in one worker that can be purged. */
export class Purges {
  readonly #members = new Set<Purgeable>()

  join(member: Purgeable): Closable {
    this.#members.add(member)
    return { close: () => void this.#members.delete(member) }
  }

  purge(purge: Purge): number {
    let count = 0
    for (const member of this.#members) count += member.purge(purge)
    return count
  }
}
