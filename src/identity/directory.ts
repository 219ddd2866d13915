// Who calls, as one worker knows it: what was asked lately is kept, and forgotten when the store says that it changed.

import type {
  Consumer,
  ConsumerChanges,
  ConsumerReader,
  CredentialKind,
  Denials,
  Identities,
  Identity,
  Soon,
} from '../core/consumers.ts'
import { Failure } from '../core/failure.ts'
import type { Clock, Deadlines, Log, Meter, Timed } from '../core/ports.ts'
import { compileDenials } from './denied.ts'
import { defaultKeyPrefix, digestOf, isKeyText, keyCharactersMax, keyPattern } from './key.ts'
import { createKnown, type Known } from './known.ts'

export interface DirectoryOptions {
  readonly reader: ConsumerReader
  readonly clock: Clock
  readonly deadlines: Deadlines
  readonly meter: Meter
  readonly log: Log
  /** Two random words of 32 bits. */
  readonly seed: readonly [number, number]
  /** The most credentials that are kept; 20,000 where it is not said. As many consumers are kept besides. */
  readonly hotMax?: number
  /** The most texts that are remembered to lead nowhere; 10,000 where it is not said. They never crowd out the others. */
  readonly unknownMax?: number
}

export interface Directory {
  readonly identities: Identities
  readonly denials: Denials
  /** Writes down what was used, and asks no further. */
  close(): void
}

const tags = { key: 1, basic: 2, signature: 3, certificate: 4, digest: 5, consumer: 6 } as const

/** How often one credential is written down as used, and how long that may wait, milliseconds. */
const usedEveryMs = 60_000
const usedWaitMs = 1_000
const logEveryMs = 10_000

export function createDirectory(options: DirectoryOptions): Directory {
  const { reader, clock, deadlines, meter, seed, hotMax = 20_000, unknownMax = 10_000 } = options
  const full = (name: string) => {
    const hits = meter.counter('turnpike_ceiling_hits', { ceiling: 'identities', name })
    return () => hits.add(1)
  }
  const hot = createKnown<Identity>({ entriesMax: hotMax, seed, onFull: full('credentials') })
  const consumers = createKnown<Consumer>({ entriesMax: hotMax, seed, onFull: full('consumers') })
  const unknown = createKnown<true>({ entriesMax: unknownMax, seed, onFull: full('unknown') })
  const guard = createGuard(options.log, clock)
  // Counts what was heard of changes: an answer that was asked for before one may be older than it.
  let heard = 0
  let denials = compileDenials({})

  const keep = (tag: number, text: string, name: string, identity: Identity | null): Identity | null => {
    const live = identity !== null && isLive(identity, clock) ? identity : null
    if (live === null) unknown.set(tag, text, name, true)
    else hot.set(tag, text, name, live)
    return live
  }

  const ask = (tag: number, text: string, kind: CredentialKind, lookup: string): Soon<Identity | null> => {
    if (unknown.get(tag, text) === true) return null
    const asked = heard
    const name = nameOf(tag, kind, lookup)
    return guard(
      () => reader.find(kind, lookup),
      found => {
        if (heard === asked) return keep(tag, text, name, found)
        return found !== null && isLive(found, clock) ? found : null
      },
    )
  }

  const find = (tag: number, text: string, kind: CredentialKind): Soon<Identity | null> => {
    const identity = hot.get(tag, text)
    if (identity !== undefined) return isLive(identity, clock) ? identity : null
    return ask(tag, text, kind, kind === 'key' && tag === tags.key ? digestOf(text) : text)
  }

  const forget = (changes: ConsumerChanges): void => {
    if (changes.isAll) for (const table of [hot, consumers, unknown]) table.clear()
    else {
      for (const name of changes.credentials) forgetCredential(name, hot, unknown)
      for (const name of changes.consumers) consumers.forget(name)
    }
    if (changes.isAll || changes.credentials.length + changes.consumers.length > 0) heard++
    if (changes.isAll || changes.areDenialsChanged) readDenials()
  }

  let areDenialsRead = false
  const readDenials = (): void => {
    areDenialsRead = false
    quietly(
      guard(
        () => reader.denials(),
        lists => {
          denials = compileDenials(lists)
          areDenialsRead = true
        },
      ),
    )
  }

  const used = createUsed(reader, clock, hotMax)
  const beat = createBeat(() => {
    if (!areDenialsRead) quietly(callSafely(readDenials))
    used.flush()
    return guard(() => reader.changes(), forget)
  })
  quietly(callSafely(readDenials))
  deadlines.add(beat)

  return {
    identities: {
      key(text) {
        if (text.length === 0 || text.length > keyCharactersMax || isMisprint(text)) return null
        return find(tags.key, text, 'key')
      },
      find: (kind, lookup) =>
        lookup.length > keyCharactersMax ? null : find(kind === 'key' ? tags.digest : tags[kind], lookup, kind),
      consumer(nameOrId) {
        const known = consumers.get(tags.consumer, nameOrId)
        if (known !== undefined) return known
        const asked = heard
        return guard(
          () => reader.consumer(nameOrId),
          found => {
            if (found !== null && heard === asked) consumers.set(tags.consumer, nameOrId, nameOrId, found)
            return found
          },
        )
      },
      used: used.note,
    },
    denials: { isDenied: (list, value) => denials.isDenied(list, value) },
    close() {
      deadlines.remove(beat)
      used.flush(true)
    },
  }
}

/** Judged at each use: nothing has to happen for a credential to expire. */
function isLive({ credential: { revokedMs, expiresMs } }: Identity, clock: Clock): boolean {
  return revokedMs === null && (expiresMs === null || expiresMs > clock.wall())
}

/** A text in the form of our own keys whose checksum does not fit was never one. */
function isMisprint(text: string): boolean {
  return text.startsWith(`${defaultKeyPrefix}_`) && keyPattern.test(text) && !isKeyText(text)
}

/** A key is found by its text or by its digest; as two entries, these have two names. */
function nameOf(tag: number, kind: CredentialKind, lookup: string): string {
  return tag === tags.digest ? `digest:${lookup}` : `${kind}:${lookup}`
}

function forgetCredential(name: string, ...tables: readonly Known<unknown>[]): void {
  for (const table of tables) {
    table.forget(name)
    if (name.startsWith('key:')) table.forget(`digest:${name.slice('key:'.length)}`)
  }
}

/**
 * Asks the store, and makes what it throws a `Failure`. An outage is logged when it begins and when it ends: what is cached
 * goes on meanwhile.
 */
function createGuard(log: Log, clock: Clock): <T, R>(ask: () => Soon<T>, then: (answer: T) => R) => Soon<R> {
  let isBroken = false
  let loggedMs = -Infinity
  const answered = () => {
    if (isBroken) log.info({}, 'the store of consumers can be read again')
    isBroken = false
  }
  const broken = (error: unknown): never => {
    // A store that fails now and then must not fill the log.
    if (!isBroken && clock.now() - loggedMs > logEveryMs) {
      log.error({ err: error }, 'the store of consumers cannot be read; known callers go on')
      loggedMs = clock.now()
      isBroken = true
    }
    const detail = error instanceof Error ? error.message : String(error)
    throw new Failure('authentication-unavailable', { detail: `the store of consumers: ${detail}`, cause: error })
  }
  return (ask, then) => {
    let answer
    try {
      answer = ask()
    } catch (error) {
      return broken(error)
    }
    if (answer instanceof Promise) {
      return answer.then(
        value => {
          answered()
          return then(value)
        },
        (error: unknown) => broken(error),
      )
    }
    answered()
    return then(answer)
  }
}

function callSafely<T>(run: () => Soon<T>): Soon<T | undefined> {
  try {
    return run()
  } catch {
    // The guard has logged it.
    return undefined
  }
}

/** A failure was logged by the guard, and the next beat asks again. */
function quietly(soon: Soon<unknown>): void {
  if (soon instanceof Promise) soon.catch(() => {})
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
  flush(isLast?: boolean): void
}

function createUsed(reader: ConsumerReader, clock: Clock, idsMax: number): Used {
  let pending = new Map<string, number>()
  const noted = new Map<string, number>()
  let flushedMs = clock.now()
  return {
    note({ credential: { id } }) {
      const nowMs = clock.now()
      const before = noted.get(id)
      if (before !== undefined && nowMs - before < usedEveryMs) return
      // Forgetting all at once costs no more than that some are written down once more.
      if (noted.size >= idsMax) noted.clear()
      noted.set(id, nowMs)
      if (pending.size < idsMax) pending.set(id, clock.wall())
    },
    flush(isLast = false) {
      const nowMs = clock.now()
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
