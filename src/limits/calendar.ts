// Periods of the calendar in a time zone: days of 23 and 25 hours, months of 28 to 31 days, months that begin on any date.

export const periodKinds = ['hour', 'day', 'week', 'month', 'period'] as const
export type PeriodKind = (typeof periodKinds)[number]

/** Milliseconds since the Unix epoch; the end belongs to the next one. */
export interface Period {
  readonly startMs: number
  readonly endMs: number
}

/** Whether a text names a time zone, such as `Europe/Berlin`, `UTC` or `+05:30`. */
export function isTimeZone(text: string): boolean {
  try {
    Temporal.Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(text)
    return true
  } catch {
    return false
  }
}

/** A text as a date of the calendar, null for anything else. */
export function dateOf(text: string): Temporal.PlainDate | null {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return null
  try {
    return Temporal.PlainDate.from(text)
  } catch {
    return null
  }
}

/**
 * The period that a moment is in. Weeks begin on Monday (ISO 8601). A `period` is a month that begins on the day of `anchor`, or on
 * the last day of months that have no such day.
 */
export function periodAt(kind: PeriodKind, timeZone: string, wallMs: number, anchor: Temporal.PlainDate): Period {
  const now = Temporal.Instant.fromEpochMilliseconds(Math.floor(wallMs)).toZonedDateTimeISO(timeZone)
  if (kind === 'hour') {
    const intoMs = now.minute * 60_000 + now.second * 1000 + now.millisecond
    const startMs = now.epochMilliseconds - intoMs
    return { startMs, endMs: startMs + 3_600_000 }
  }
  const [first, next] = datesAround(kind, now.toPlainDate(), anchor)
  return { startMs: startOf(first, timeZone), endMs: startOf(next, timeZone) }
}

function datesAround(
  kind: Exclude<PeriodKind, 'hour'>,
  today: Temporal.PlainDate,
  anchor: Temporal.PlainDate,
): [Temporal.PlainDate, Temporal.PlainDate] {
  if (kind === 'day') return [today, today.add({ days: 1 })]
  if (kind === 'week') {
    const monday = today.subtract({ days: today.dayOfWeek - 1 })
    return [monday, monday.add({ days: 7 })]
  }
  if (kind === 'month') {
    const first = today.with({ day: 1 })
    return [first, first.add({ months: 1 })]
  }
  // Counted from the anchor each time: 31 January, 28 February, 31 March.
  let months = (today.year - anchor.year) * 12 + today.month - anchor.month
  if (Temporal.PlainDate.compare(anchor.add({ months }), today) > 0) months--
  return [anchor.add({ months }), anchor.add({ months: months + 1 })]
}

/** The first moment of a day there: not always midnight. */
function startOf(date: Temporal.PlainDate, timeZone: string): number {
  return date.toZonedDateTime({ timeZone }).epochMilliseconds
}
