// Passive ejection: targets that calls found failing are left out for a time (what Envoy calls outlier detection).

import type { EjectionBlueprint } from '../../core/health-schema.ts'
import type { Call } from '../../core/call.ts'
import type { FailureCode } from '../../core/codes.ts'
import type { Failure } from '../../core/failure.ts'
import type { Counter } from '../../core/ports.ts'
import { Reply } from '../../core/reply.ts'
import type { TryObserver } from '../try-observer.ts'
import type { Endpoint } from '../endpoint.ts'
import { isOwnFault } from '../own-fault.ts'
import { isClientsDeadline, isPatient } from '../resilience/outcome.ts'
import { statusOf } from '../status-of.ts'
import { Cell, type EjectionReason, ejectionReasons, Flag, type TargetTable, tickMs } from './target-memory.ts'

/**
 * A call whose own time ran out says something of the target only if it waited so long: a client may set a deadline that no
 * target could meet.
 */
const patienceMs = 1_000

const reasonsByCode: Partial<Record<FailureCode, EjectionBlueprint['on'][number]>> = {
  'upstream-connect-failed': 'connect-failure',
  'upstream-connect-timeout': 'connect-failure',
  'upstream-tls-failed': 'connect-failure',
  'upstream-reset': 'reset',
  'upstream-malformed-reply': 'reset',
  'upstream-timeout': 'timeout',
}

/** Says of the outcome of a try whether the target failed; null where it says nothing of the target. */
export type Verdict = (call: Call, outcome: Reply | Failure) => boolean | null

export function createVerdict(on: EjectionBlueprint['on']): Verdict {
  const wanted = new Set<string>(on)
  const badStatuses = new Uint8Array(1000)
  for (let status = 500; status < 600; status++) {
    badStatuses[status] = wanted.has('5xx') || wanted.has(String(status)) ? 1 : 0
  }
  const isTimeoutWanted = wanted.has('timeout')
  return (call, outcome) => {
    if (outcome instanceof Reply) {
      const status = statusOf(outcome)
      if (isClientsDeadline(outcome, status) && !isPatient(call, patienceMs)) return null
      return badStatuses[status] === 1
    }
    const reason = reasonsByCode[outcome.code]
    if (reason !== undefined) return wanted.has(reason) && !isOwnFault(outcome) ? true : null
    return isTimeoutWanted && outcome.code === 'call-timeout' && isPatient(call, patienceMs) ? true : null
  }
}

export interface EjectorOptions {
  readonly table: TargetTable
  readonly ejection: EjectionBlueprint
  /** Row of an endpoint; undefined where it has none. */
  readonly rowOf: (endpoint: Endpoint) => number | undefined
  /** Rows of all endpoints that could get calls. */
  readonly rows: () => readonly number[]
  /** Counts targets that stay as the share that may be ejected is used up. */
  readonly full: Counter
}

/**
 * Counts outcomes in shared memory and ejects at once when there were too many failures in a row.
 *
 * Hot path: a success costs a read, and one atomic addition where success rates are compared.
 */
export function createEjector({ table, ejection, rowOf, rows, full }: EjectorOptions): TryObserver {
  const { consecutive } = ejection
  const hasRate = ejection.successRate !== null
  const judge = createVerdict(ejection.on)
  const { cells } = table

  function failed(row: number): void {
    if (hasRate) Atomics.add(cells, table.at(row, Cell.failures), 1)
    const inARow = Atomics.add(cells, table.at(row, Cell.consecutive), 1) + 1
    if (consecutive === 0 || inARow < consecutive) return
    if (eject(table, row, rows(), ejection, 'consecutive') === 'too-many') full.add(1)
  }

  return (call, endpoint, outcome) => {
    const row = rowOf(endpoint)
    if (row === undefined) return
    const isFailure = judge(call, outcome)
    if (isFailure === null) return
    if (hasRate) Atomics.add(cells, table.at(row, Cell.calls), 1)
    if (isFailure) return failed(row)
    const at = table.at(row, Cell.consecutive)
    if (cells[at] !== 0) Atomics.store(cells, at, 0)
  }
}

/**
 * Ejects a target, unless so many are ejected that the share is used up. Any thread may do so at any time: it looks again when
 * it has, and takes it back if others did so meanwhile and all together are too many.
 */
export function eject(
  table: TargetTable,
  row: number,
  rows: readonly number[],
  { baseTime, maxTime, maxPercent }: EjectionBlueprint,
  reason: EjectionReason,
): 'ejected' | 'was-ejected' | 'too-many' {
  if ((table.load(row, Cell.flags) & Flag.ejected) !== 0) return 'was-ejected'
  const most = Math.floor(rows.length * maxPercent)
  if (countEjected(table, rows) >= most) return 'too-many'
  const times = table.load(row, Cell.ejections) + 1
  table.store(row, Cell.reason, ejectionReasons.indexOf(reason))
  table.store(row, Cell.ejectedUntil, table.now + Math.ceil(Math.min(baseTime * times, maxTime) / tickMs))
  if (!table.raise(row, Flag.ejected)) return 'was-ejected'
  if (countEjected(table, rows) > most) {
    table.lower(row, Flag.ejected)
    return 'too-many'
  }
  table.store(row, Cell.ejections, times)
  table.publish()
  return 'ejected'
}

function countEjected(table: TargetTable, rows: readonly number[]): number {
  let count = 0
  for (const row of rows) if ((table.load(row, Cell.flags) & Flag.ejected) !== 0) count++
  return count
}

/** Takes a target back; false where it was not ejected. Only the main thread does. */
export function takeBack(table: TargetTable, row: number): boolean {
  if (!table.lower(row, Flag.ejected)) return false
  for (const cell of [Cell.consecutive, Cell.calls, Cell.failures]) table.store(row, cell, 0)
  for (const cell of [Cell.since, Cell.ejectedUntil]) table.store(row, cell, table.now)
  table.publish()
  return true
}

/**
 * An interval is over: ejects who succeeds less often than its siblings, forgives an ejection, and counts anew. `rows` are those of
 * targets that get calls, `all` also those that get none now. `full` is that of the ejector.
 */
export function compareRates(
  table: TargetTable,
  rows: readonly number[],
  all: Iterable<number>,
  ejection: EjectionBlueprint,
  full: Counter,
): void {
  const { successRate, interval } = ejection
  if (successRate !== null) {
    const judged = rows.flatMap(row => {
      const calls = table.load(row, Cell.calls)
      const isEjected = (table.load(row, Cell.flags) & Flag.ejected) !== 0
      if (isEjected || calls < successRate.requestVolume) return []
      return { row, rate: 1 - table.load(row, Cell.failures) / calls }
    })
    if (judged.length >= successRate.minimumHosts) {
      const least = leastRate(
        judged.map(({ rate }) => rate),
        successRate,
      )
      // The worst first: the share that may be ejected may not be enough for all.
      judged.sort((a, b) => a.rate - b.rate)
      for (const { row, rate } of judged) {
        if (rate < least && eject(table, row, rows, ejection, 'success-rate') === 'too-many') full.add(1)
      }
    }
  }
  for (const row of all) {
    countAnew(table, row)
    const ejections = table.load(row, Cell.ejections)
    const isEjected = (table.load(row, Cell.flags) & Flag.ejected) !== 0
    // Who came back a moment ago has shown nothing yet: that was no interval without an ejection.
    const isWhole = (table.now - table.load(row, Cell.ejectedUntil)) * tickMs >= interval
    if (ejections > 0 && !isEjected && isWhole) table.store(row, Cell.ejections, ejections - 1)
  }
}

/** Forgets the calls since success rates were last compared. */
export function countAnew(table: TargetTable, row: number): void {
  table.store(row, Cell.calls, 0)
  table.store(row, Cell.failures, 0)
}

type Comparison = NonNullable<EjectionBlueprint['successRate']>

/** Among targets that are nearly alike the deviation is tiny: a gap keeps those from ejection that are hardly worse. */
function leastRate(rates: readonly number[], { stdevFactor, gap }: Comparison): number {
  const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length
  const variance = rates.reduce((sum, rate) => sum + (rate - mean) ** 2, 0) / rates.length
  return mean - Math.max(gap, stdevFactor * Math.sqrt(variance))
}
