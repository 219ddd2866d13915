// What the main thread and its workers say to each other.

import type { Blueprint, MemoryBlueprint } from '../core/blueprint.ts'
import type { Purge } from '../core/purges.ts'
import type { TicketMemory } from '../edge/ticket-keys.ts'
import type { ConfigEntries } from '../stores/config/entries.ts'
import type { CounterMemory } from '../stores/counter-memory.ts'
import type { GivenTables, WantedTables } from '../stores/limit-tables.ts'
import type { RemoteLogLine } from '../telemetry/log.ts'
import type { MetricPage, PageNews } from '../telemetry/page.ts'
import type { TargetMemory } from '../upstreams/health/target-memory.ts'

/** Handed to a worker when it starts. */
export interface WorkerStart {
  /** The version of Turnpike that the process was started as. */
  readonly program: string
  /** Place in the shared tables; a replacement gets another one while its predecessor lives. */
  readonly index: number
  readonly counters: CounterMemory
  /** Bytes that each worker has in use, by its place. */
  readonly memoryUse: Float64Array
  readonly page: MetricPage
  readonly tickets: TicketMemory
  readonly challenges: ReadonlyMap<string, string>
  /** URLs of modules that add policies and ends. */
  readonly extensions: readonly string[]
  /** Folder for data; null for none. */
  readonly data: string | null
  readonly memory: MemoryBlueprint
  /** Marks of paths that calls changed; see core/marks.ts. */
  readonly marks: SharedArrayBuffer
}

/** A config on its way into force. */
export interface Edition {
  readonly version: number
  readonly blueprint: Blueprint
  /** Texts of the files that the blueprint names. */
  readonly files: Readonly<Record<string, string>>
  /** Consumers that the config names. */
  readonly entries: ConfigEntries
  /** What threads share about the targets of those upstreams that are watched, by their names. */
  readonly watched: ReadonlyMap<string, TargetMemory>
}

/** Where a worker stands among the others. */
export interface Berth {
  /** From 0 to `workers - 1`. */
  readonly ordinal: number
  readonly workers: number
  /**
   * Keys of the listeners that are open already. A worker that joins binds them only when it commits: connections that the
   * system gave to a worker that is then turned away would be lost.
   */
  readonly open: readonly string[]
}

export type ToWorker =
  /** Build it and bind its new ports, but serve on as before. */
  | ({ readonly kind: 'prepare'; readonly edition: Edition } & Berth)
  /** Serve by what was prepared. */
  | { readonly kind: 'commit'; readonly version: number; readonly limits: GivenTables }
  /** Forget what was prepared. */
  | { readonly kind: 'abort' }
  /** Stop accepting, finish calls for so long, exit. */
  | { readonly kind: 'drain'; readonly drainMs: number }
  | { readonly kind: 'reopen-log' }
  | { readonly kind: 'purge'; readonly purge: Purge }
  /** What proves names to ACME servers from now on, by token. */
  | { readonly kind: 'challenges'; readonly answers: ReadonlyMap<string, string> }

export type FromWorker =
  | { readonly kind: 'started' }
  /** Built; these tables of limits must come with `commit`. */
  | { readonly kind: 'prepared'; readonly version: number; readonly limits: WantedTables }
  | { readonly kind: 'refused'; readonly version: number; readonly reason: string }
  | { readonly kind: 'committed'; readonly version: number }
  | { readonly kind: 'challenges-known' }
  /** What was prepared is gone, and its ports are closed. */
  | { readonly kind: 'aborted' }
  /** All calls are over, the worker exits. */
  | { readonly kind: 'drained'; readonly cut: number }
  /** Something was thrown that nothing caught; the worker serves on but wants to be replaced. */
  | { readonly kind: 'sick'; readonly reason: string }
  /** So many replies were taken out. */
  | { readonly kind: 'purged'; readonly count: number }
  | { readonly kind: 'metrics'; readonly news: PageNews }
  /** When credentials were last used, by id. */
  | { readonly kind: 'used'; readonly times: ReadonlyMap<string, number> }
  | { readonly kind: 'log'; readonly line: RemoteLogLine }
