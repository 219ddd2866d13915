import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { dateOf, isTimeZone, periodAt, periodKinds } from './calendar.ts'

const anchor = Temporal.PlainDate.from('2026-01-31')
const at = (text: string) => Temporal.Instant.from(text).epochMilliseconds
const utc = (ms: number) => new Date(ms).toISOString().slice(0, 16)

for (const [kind, zone, now, start, end] of [
  ['hour', 'UTC', '2026-05-01T10:59:59.999Z', '2026-05-01T10:00', '2026-05-01T11:00'],
  ['hour', 'Asia/Kolkata', '2026-05-01T10:10:00Z', '2026-05-01T09:30', '2026-05-01T10:30'],
  ['day', 'UTC', '2026-05-01T00:00:00Z', '2026-05-01T00:00', '2026-05-02T00:00'],
  // Clocks go forward: 23 hours. Clocks go back: 25.
  ['day', 'Europe/Berlin', '2026-03-29T10:00:00Z', '2026-03-28T23:00', '2026-03-29T22:00'],
  ['day', 'Europe/Berlin', '2026-10-25T10:00:00Z', '2026-10-24T22:00', '2026-10-25T23:00'],
  // Midnight does not exist here on this day.
  ['day', 'Africa/Cairo', '2026-04-24T10:00:00Z', '2026-04-23T22:00', '2026-04-24T21:00'],
  ['week', 'UTC', '2026-11-22T23:59:59Z', '2026-11-16T00:00', '2026-11-23T00:00'],
  ['week', 'America/New_York', '2026-11-23T04:00:00Z', '2026-11-16T05:00', '2026-11-23T05:00'],
  ['month', 'UTC', '2028-02-29T12:00:00Z', '2028-02-01T00:00', '2028-03-01T00:00'],
  ['month', 'America/New_York', '2026-03-01T03:00:00Z', '2026-02-01T05:00', '2026-03-01T05:00'],
  ['period', 'UTC', '2026-02-28T00:00:00Z', '2026-02-28T00:00', '2026-03-31T00:00'],
  ['period', 'UTC', '2026-03-30T23:59:59Z', '2026-02-28T00:00', '2026-03-31T00:00'],
  ['period', 'UTC', '2026-04-30T00:00:00Z', '2026-04-30T00:00', '2026-05-31T00:00'],
  ['period', 'UTC', '2025-12-30T00:00:00Z', '2025-11-30T00:00', '2025-12-31T00:00'],
] as const) {
  test(`${kind} in ${zone} at ${now}`, () => {
    const period = periodAt(kind, zone, at(now), anchor)
    assert.deepEqual([utc(period.startMs), utc(period.endMs)], [start, end])
  })
}

test('periods hold their moment and follow each other without a gap', () => {
  const zones = fc.constantFrom('UTC', 'Europe/Berlin', 'America/St_Johns', 'Australia/Lord_Howe', 'Pacific/Apia')
  const moment = fc.integer({ min: at('2020-01-01T00:00:00Z'), max: at('2035-01-01T00:00:00Z') })
  fc.assert(
    fc.property(fc.constantFrom(...periodKinds), zones, moment, (kind, zone, now) => {
      const { startMs, endMs } = periodAt(kind, zone, now, anchor)
      assert.ok(startMs <= now && now < endMs)
      assert.deepEqual(periodAt(kind, zone, endMs - 1, anchor), { startMs, endMs })
      assert.equal(periodAt(kind, zone, endMs, anchor).startMs, endMs)
    }),
    // A zone that moves its clock by half an hour has hours that the wall clock cannot tell apart.
    { examples: [['day', 'Pacific/Apia', at('2026-01-01T00:00:00Z')]] },
  )
})

test('zones and dates', () => {
  assert.deepEqual(['UTC', 'Europe/Berlin', '+05:30', 'Mars/Base', ''].map(isTimeZone), [
    true,
    true,
    true,
    false,
    false,
  ])
  assert.deepEqual(['2026-02-29', '2026-2-1', 'x'].map(dateOf), [null, null, null])
  assert.equal(dateOf('2028-02-29')?.day, 29)
})
