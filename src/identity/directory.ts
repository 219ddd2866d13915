// Who calls, as one worker knows it: lookups that are cached, lists of denials, and the beat that follows the store.

import type { ConsumerReader, Denials, Identities, Identity, Soon } from '../core/consumers.ts'
import type { Clock, Deadlines, Log, Meter, Timed } from '../core/ports.ts'
import { compileDenials } from './denied.ts'
import { type KnownMax, Lookups } from './lookups.ts'
import { callSafely, createStoreGuard, quietly, type StoreGuard } from './store-guard.ts'

export interface DirectoryOptions {
  readonly reader: ConsumerReader
  readonly clock: Clock
  readonly deadlines: Deadlines
  readonly meter: Meter
  readonly log: Log
  /** Two random words of 32 bits. */
  readonly seed: readonly [number, number]
  readonly memory: KnownMax
}

export interface Directory {
  readonly identities: Identities
  readonly denials: Denials
  /** Takes the bounds of another config. */
  readonly resize: (memory: KnownMax) => void
  /** Writes down what was used, and asks no further. */
  readonly close: () => void
}

/** How often one credential is written down as used, seconds. */
const usedEveryS = 60
/** How long that may wait, milliseconds. */
const usedWaitMs = 1_000

export function createDirectory(options: DirectoryOptions): Directory {
  const { reader, clock, deadlines, meter, seed, memory } = options
  const guard = createStoreGuard(options.log, clock)
  const lookups = new Lookups({ reader, guard, clock, meter, seed, memory })
  const denials = followDenials(reader, guard)
  const usesFull = meter.counter('turnpike_ceiling_hits', { ceiling: 'identities', name: 'uses' })
  const used = createUsed(reader, clock, memory.credentials, () => usesFull.add(1))
  const beat = createBeat(() => {
    denials.complete()
    used.flush()
    return guard(
      () => reader.changes(),
      changes => {
        lookups.forget(changes)
        if (changes.isAll || changes.areDenialsChanged) denials.read()
      },
    )
  })
  denials.complete()
  deadlines.add(beat)
  return {
    identities: {
      key: text => lookups.key(text),
      find: (kind, lookup) => lookups.find(kind, lookup),
      why: (kind, text) => lookups.why(kind, text),
      consumer: nameOrId => lookups.consumer(nameOrId),
      used: used.note,
    },
    denials,
    resize(bounds) {
      lookups.resize(bounds)
      used.resize(bounds.credentials)
    },
    close() {
      deadlines.remove(beat)
      used.flush(true)
    },
  }
}

interface FollowedDenials extends Denials {
  /** Reads the lists. */
  read(): void
  /** Reads the lists if that did not work before. */
  complete(): void
}

function followDenials(reader: ConsumerReader, guard: StoreGuard): FollowedDenials {
  let denials = compileDenials({})
  let isRead = false
  const read = (): void => {
    isRead = false
    quietly(
      guard(
        () => reader.denials(),
        lists => {
          denials = compileDenials(lists)
          isRead = true
        },
      ),
    )
  }
  return {
    isDenied: (list, value) => denials.isDenied(list, value),
    read,
    complete() {
      if (!isRead) void callSafely(read)
    },
  }
}

/** Runs on every beat, but never twice at once. */
function createBeat(run: () => Soon<unknown>): Timed {
  let isRunning = false
  const over = () => {
    isRunning = false
  }
  return {
    dueMs: 0,
    slot: -1,
    due() {
      if (isRunning) return
      const running = callSafely(run)
      if (!(running instanceof Promise)) return
      isRunning = true
      running.then(over, over)
    },
  }
}

interface Used {
  readonly note: (identity: Identity) => void
  resize(usesMax: number): void
  flush(isLast?: boolean): void
}

/** No more uses wait at once than credentials are at hand; further ones are noted with their next call. */
function createUsed(reader: ConsumerReader, clock: Clock, usesMax: number, onFull: () => void): Used {
  let pendingMax = usesMax
  let pending = new Map<string, number>()
  let flushedMs = clock.now()
  let beatS = Math.floor(flushedMs / 1000)
  return {
    // Hot path: the time stands in what the call has at hand, and is that of the last beat. A table of times by id would be four
    // more places in memory, and reading the clock costs 50 ns.
    note(identity) {
      if (beatS - identity.notedS < usedEveryS) return
      if (pending.size >= pendingMax) return onFull()
      identity.notedS = beatS
      pending.set(identity.credential.id, clock.wall())
    },
    resize(max) {
      pendingMax = max
    },
    flush(isLast = false) {
      const nowMs = clock.now()
      beatS = Math.floor(nowMs / 1000)
      if (pending.size === 0 || (!isLast && nowMs - flushedMs < usedWaitMs)) return
      flushedMs = nowMs
      const times = pending
      pending = new Map()
      try {
        reader.used(times)
      } catch {
        // That a credential was used is no reason to refuse it.
      }
    },
  }
}
