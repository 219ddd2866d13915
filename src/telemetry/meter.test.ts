import assert from 'node:assert/strict'
import test from 'node:test'
import * as fc from 'fast-check'
import { renderMetrics } from './exposition.ts'
import { readExposition } from './exposition-reader.ts'
import { createMeter } from './meter.ts'
import { type MetricDefinition, metrics } from './metrics.ts'
import { applyPageNews, createPage, type MetricPage, type PageNews } from './page.ts'

const valueOf = (page: MetricPage, name: string, labels: Record<string, string> = {}) =>
  readExposition(renderMetrics([page], 'prometheus')).samples.find(
    sample =>
      sample.name === name && Object.entries(labels).every(([label, value]) => (sample.labels[label] ?? '') === value),
  )?.value

test('the same series asked again is the same number', () => {
  const page = createPage('0')
  const meter = createMeter({ page })
  meter.counter('turnpike_upstream_retries', { upstream: 'a', reason: 'reset' }).add(1)
  meter.counter('turnpike_upstream_retries', { reason: 'reset', upstream: 'a' }).add(2)
  assert.equal(valueOf(page, 'turnpike_upstream_retries_total'), 3)
  assert.equal(page.series.length, 1)
})

test('what a worker announces makes the same page on the other side', () => {
  const there = createPage('0')
  const page = createPage('0')
  const announce = (news: PageNews) => applyPageNews(there, news)
  const meter = createMeter({ page, announce })
  // More than one chunk.
  for (let index = 0; index < 1000; index++) {
    meter.histogram('turnpike_gateway_duration_seconds', { http_route: `r${index}` }).record(index)
  }
  assert.ok(there.chunks.length > 1)
  assert.equal(renderMetrics([there], 'prometheus'), renderMetrics([page], 'prometheus'))
  assert.equal(valueOf(there, 'turnpike_gateway_duration_seconds_sum', { http_route: 'r999' }), 999)
})

test('a replacement counts on, and gauges start anew', () => {
  const page = createPage('0')
  const meter = createMeter({ page })
  meter.counter('process_cpu_seconds', {}).add(7)
  meter.gauge('http_server_active_requests', { listener: '8080' }).set(3)
  const replacement = createMeter({ page: structuredClone(page) })
  replacement.counter('process_cpu_seconds', {}).add(1)
  replacement.counter('turnpike_config_reloads', { result: 'taken' }).add(1)
  assert.equal(valueOf(page, 'process_cpu_seconds_total'), 8)
  assert.equal(valueOf(page, 'http_server_active_requests'), 0)
})

test('a slot that a dead worker used but never announced starts at 0', () => {
  const page = createPage('0')
  const known = { ...page, chunks: [...page.chunks], series: [...page.series] }
  let isAlive = true
  const meter = createMeter({ page, announce: news => isAlive && applyPageNews(known, news) })
  meter.counter('process_cpu_seconds', {}).add(1)
  isAlive = false
  meter.counter('turnpike_config_reloads', { result: 'taken' }).add(100)
  createMeter({ page: known }).counter('turnpike_worker_replacements', { reason: 'exit' }).add(1)
  assert.equal(valueOf(known, 'turnpike_worker_replacements_total'), 1)
  assert.equal(valueOf(known, 'process_cpu_seconds_total'), 1)
})

test('past the maximum of series, further ones are folded into one and counted', () => {
  const page = createPage('0')
  const meter = createMeter({ page, seriesMax: 2 })
  for (const name of ['a', 'b', 'c', 'd', 'a']) meter.counter('turnpike_ceiling_hits', { ceiling: 'x', name }).add(1)
  assert.equal(valueOf(page, 'turnpike_ceiling_hits_total', { name: 'a' }), 2)
  assert.equal(valueOf(page, 'turnpike_ceiling_hits_total', { name: 'c' }), undefined)
  assert.equal(valueOf(page, 'turnpike_ceiling_hits_total', { name: 'other', ceiling: 'other' }), 2)
  assert.equal(valueOf(page, 'turnpike_metrics_series_overflow_total', { metric: 'turnpike_ceiling_hits' }), 2)
})

for (const [what, make] of [
  ['an unknown name', meter => meter.counter('turnpike_nonsense', {})],
  ['another type', meter => meter.gauge('process_cpu_seconds', {})],
  ['an unknown label', meter => meter.counter('process_cpu_seconds', { colour: 'red' })],
] satisfies [string, (meter: ReturnType<typeof createMeter>) => unknown][]) {
  test(`${what} is refused when the series is made`, () => {
    assert.throws(() => make(createMeter({ page: createPage('0') })), /metric/)
  })
}

test('a histogram puts every value where a search from below would', () => {
  const { buckets } = metrics.http_server_request_duration_seconds
  fc.assert(
    fc.property(fc.oneof(fc.double({ min: 0, max: 20, noNaN: true }), fc.constantFrom(...buckets)), value => {
      const page = createPage('0')
      createMeter({ page }).histogram('http_server_request_duration_seconds', {}).record(value)
      const cells = new Float64Array(page.chunks[0] as SharedArrayBuffer)
      const expected = buckets.findIndex(bound => value <= bound)
      assert.equal(cells[expected < 0 ? buckets.length : expected], 1)
      assert.equal(cells[buckets.length + 1], value)
    }),
  )
})

test('what is not a measurement is recorded as 0', () => {
  const page = createPage('0')
  const histogram = createMeter({ page }).histogram('turnpike_gateway_duration_seconds', { http_route: 'a' })
  for (const value of [Number.NaN, -1]) histogram.record(value)
  assert.equal(valueOf(page, 'turnpike_gateway_duration_seconds_sum'), 0)
  assert.equal(valueOf(page, 'turnpike_gateway_duration_seconds_count'), 2)
})

test('the table of metrics keeps the conventions of Prometheus and OpenMetrics', () => {
  for (const [name, definition] of Object.entries<MetricDefinition>(metrics)) {
    assert.match(name, /^[a-z][a-z0-9_]*[a-z0-9]$/)
    assert.doesNotMatch(name, /_(total|count|sum|bucket)$/, name)
    if (definition.unit !== '') assert.ok(name.endsWith(`_${definition.unit}`), `${name} must end in its unit`)
    assert.match(definition.help, /\.$/, name)
    assert.equal(definition.buckets !== undefined, definition.type === 'histogram', name)
    const { buckets = [] } = definition
    assert.deepEqual(
      buckets,
      [...new Set(buckets)].toSorted((a, b) => a - b),
      name,
    )
  }
})
