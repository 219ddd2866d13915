// Which store counts for a limit: the memory that all threads share, or the file in the folder `data`.

import type { Blueprint } from '../core/blueprint.ts'
import type { LimitStore, LimitStoreOptions } from '../core/limits.ts'
import type { Log } from '../core/ports.ts'
import { DurableLimits } from '../stores/durable-limits.ts'
import type { LimitMemory } from '../stores/limit-memory.ts'
import { createLocalLimits, type LimitStores, type SharedTime } from '../stores/local-limits.ts'

export interface WorkerLimitsOptions {
  readonly memory: LimitMemory
  readonly worker: number
  readonly time: SharedTime
  readonly log: Log
  onFull(): void
}

/** Owns the files that are open; one per worker. */
export class WorkerLimits {
  readonly #options: WorkerLimitsOptions
  readonly #local: LimitStores
  readonly #files = new Map<string, DurableLimits>()

  constructor(options: WorkerLimitsOptions) {
    this.#options = options
    this.#local = createLocalLimits(options)
  }

  of(options: LimitStoreOptions, { data }: Blueprint): LimitStore {
    if (options.store !== null) throw new Error(`there is no store named ${options.store}`)
    if (!options.isDurable) return this.#local(options)
    if (data === null) throw new Error('a limit that survives a restart needs the folder `data`')
    let file = this.#files.get(data)
    if (file === undefined) {
      file = new DurableLimits({ ...this.#options, folder: data })
      this.#files.set(data, file)
    }
    return file.store(options)
  }

  /** Gives back what was booked in advance. To be called when the last call is over. */
  close(): void {
    for (const file of this.#files.values()) file.close()
    this.#files.clear()
  }
}
