// The replies that one worker keeps: the least recently used make room for others.

import { LRUCache } from 'lru-cache'
import type { Closable } from '../../core/policy.ts'
import type { Counter, Gauge, Meter } from '../../core/ports.ts'
import type { Purge, Purgeable, Purges } from '../../core/purges.ts'
import { type Lender, pieceBytes } from './serve.ts'
import { bytesOf, type Lease, type Resource, type Stored } from './stored.ts'

/** Replies that are on their way in may take so much of the bound at once: one part of this many. */
const fillParts = 4
/** Purges that are remembered for replies on their way in. */
const purgesMax = 256

/** One per worker, for all uses of the policy. Closed when no config uses it any more. */
export class ReplyStore implements Purgeable, Closable, Lender {
  /** Grows with each purge. */
  purgeNumber = 0
  readonly bytesMax: number
  readonly #resources: LRUCache<string, Resource>
  readonly #recent: Purge[] = []
  readonly #membership: Closable
  readonly #bytes: Gauge
  readonly #count: Gauge
  readonly #fillsFull: Counter
  readonly #lendingFull: Counter
  #fillBytes = 0
  #lentBytes = 0
  #isClosed = false

  constructor(bytesMax: number, purges: Purges, meter: Meter) {
    this.bytesMax = bytesMax
    this.#bytes = meter.gauge('turnpike_cache_bytes', {})
    this.#count = meter.gauge('turnpike_cache_resources', {})
    this.#fillsFull = meter.counter('turnpike_ceiling_hits', { ceiling: 'cache-fills', name: 'all' })
    this.#lendingFull = meter.counter('turnpike_ceiling_hits', { ceiling: 'cache-readers', name: 'all' })
    const evictions = meter.counter('turnpike_cache_evictions', {})
    this.#resources = new LRUCache({
      maxSize: bytesMax,
      sizeCalculation: (resource, key) => bytesOf(key, resource),
      dispose: (_resource, _key, reason) => {
        if (reason === 'evict') evictions.add(1)
      },
    })
    this.#membership = purges.join(this)
  }

  get(key: string): Resource | undefined {
    return this.#resources.get(key)
  }

  put(key: string, resource: Resource): void {
    if (this.#isClosed) return
    this.#resources.set(key, resource)
    this.#report()
  }

  delete(key: string): void {
    this.#resources.delete(key)
    this.#report()
  }

  /** Takes room for bytes of a reply on its way in; false where there is none. */
  tryFill(bytes: number): boolean {
    if (this.#fillBytes + bytes > this.bytesMax / fillParts) {
      this.#fillsFull.add(1)
      return false
    }
    this.#fillBytes += bytes
    return true
  }

  filled(bytes: number): void {
    this.#fillBytes -= bytes
  }

  /** Each body counts once, however many are sent it. */
  lend(lease: Lease, bytes: number): void {
    if (lease.readers++ === 0) this.#lentBytes += bytes
  }

  takeBack(lease: Lease, bytes: number): void {
    if (--lease.readers === 0) this.#lentBytes -= bytes
  }

  /** Whether the reply may be sent from here: what is sent slowly and makes room for others meanwhile could take any memory. */
  canLend({ lease, body }: Stored): boolean {
    if (lease.readers > 0 || body.length <= pieceBytes || this.#lentBytes + body.length <= this.bytesMax) return true
    this.#lendingFull.add(1)
    return false
  }

  purge(purge: Purge): number {
    this.purgeNumber++
    this.#recent.push(purge)
    if (this.#recent.length > purgesMax) this.#recent.shift()
    const fits = compilePurge(purge)
    let count = 0
    for (const [key, resource] of [...this.#resources.entries()]) {
      const variants = resource.variants.filter(({ tags }) => !fits(resource, tags))
      if (variants.length === resource.variants.length) continue
      count += resource.variants.length - variants.length
      if (variants.length === 0) this.#resources.delete(key)
      else this.#resources.set(key, { ...resource, variants })
    }
    this.#report()
    return count
  }

  /** Whether a reply that was asked for at this purge number would have been purged since, had it been there. */
  isPurgedSince(purgeNumber: number, resource: Resource, tags: readonly string[]): boolean {
    const missed = this.purgeNumber - purgeNumber
    if (missed > this.#recent.length) return true
    return missed > 0 && this.#recent.slice(-missed).some(purge => compilePurge(purge)(resource, tags))
  }

  close(): void {
    this.#isClosed = true
    this.#membership.close()
    this.#resources.clear()
    this.#report()
  }

  #report(): void {
    this.#bytes.set(this.#resources.calculatedSize)
    this.#count.set(this.#resources.size)
  }
}

type Fits = (resource: Resource, tags: readonly string[]) => boolean

function compilePurge({ by, value }: Purge): Fits {
  switch (by) {
    case 'all':
      return () => true
    case 'route':
      return ({ route }) => route === value
    case 'tag':
      return (_resource, tags) => tags.includes(value)
    case 'url':
    case 'prefix':
  }
  // With `s`: a value that has a line end names nothing, and must not fall back to naming all.
  const [, named, target = '/'] = /^(?:\/\/([^/?]*))?(.*)$/s.exec(value) ?? []
  const isOf = (host: string) => named === undefined || host === named.toLowerCase().replace(/:\d+$/, '')
  if (by === 'prefix') return resource => isOf(resource.host) && resource.target.startsWith(target || '/')
  return resource => isOf(resource.host) && resource.target === resource.targetOf(target || '/')
}
