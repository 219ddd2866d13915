import assert from 'node:assert/strict'
import test from 'node:test'
import { chooseMetricsFormat, type MetricsFormat, renderMetrics } from './exposition.ts'
import { readExposition } from './exposition-reader.ts'
import { createMeter } from './meter.ts'
import { createPage, type MetricPage } from './page.ts'

const pageOf = (thread: string, record: (meter: ReturnType<typeof createMeter>) => void): MetricPage => {
  const page = createPage(thread)
  record(createMeter({ page }))
  return page
}

const read = (pages: MetricPage[], format: MetricsFormat = 'prometheus') => readExposition(renderMetrics(pages, format))

const retries = { upstream: 'catalog', reason: 'reset' }

test('counters and histograms are summed over threads', () => {
  const pages = ['0', '1'].map(thread =>
    pageOf(thread, meter => {
      meter.counter('turnpike_upstream_retries', retries).add(2)
      const histogram = meter.histogram('turnpike_gateway_duration_seconds', { http_route: 'a' })
      histogram.record(0.0001)
      histogram.record(99)
    }),
  )
  const { types, samples } = read(pages)
  assert.equal(types.get('turnpike_upstream_retries_total'), 'counter')
  assert.deepEqual(samples.find(({ name }) => name === 'turnpike_upstream_retries_total')?.value, 4)
  const buckets = samples.filter(({ name }) => name === 'turnpike_gateway_duration_seconds_bucket')
  const valueAt = (le: string) => buckets.find(({ labels }) => labels.le === le)?.value
  assert.deepEqual(
    ['0.0001', '0.00025', '5', '+Inf'].map(valueAt),
    [2, 2, 2, 4],
    'a value equal to a bound belongs to its bucket',
  )
  assert.equal(samples.find(({ name }) => name.endsWith('_count'))?.value, 4)
  assert.equal(samples.find(({ name }) => name.endsWith('_sum'))?.value, 198.0002)
})

test('gauges are summed, or the greatest is taken, or they are kept apart, as their definition says', () => {
  const pages = [1, 3].map(value =>
    pageOf(String(value), meter => {
      meter.gauge('http_server_active_requests', { listener: '8080' }).set(value)
      meter.gauge('turnpike_config_version', {}).set(value)
      meter.gauge('turnpike_thread_heap_used_bytes', {}).set(value)
    }),
  )
  const { samples } = read(pages)
  const named = (name: string) => samples.filter(sample => sample.name === name)
  assert.deepEqual(named('http_server_active_requests')[0]?.value, 4)
  assert.deepEqual(named('turnpike_config_version'), [{ name: 'turnpike_config_version', labels: {}, value: 3 }])
  assert.deepEqual(
    named('turnpike_thread_heap_used_bytes').map(({ labels, value }) => [labels.thread, value]),
    [
      ['1', 1],
      ['3', 3],
    ],
  )
})

test('label values survive whatever stands in them', () => {
  const name = 'a "quoted" \\ back\nslash {,} é'
  const page = pageOf('0', meter => meter.counter('turnpike_ceiling_hits', { ceiling: 'connections', name }).add(1))
  for (const format of ['prometheus', 'openmetrics'] as const)
    assert.equal(read([page], format).samples[0]?.labels.name, name)
})

test('a label that is empty is left out', () => {
  const page = pageOf('0', meter => meter.counter('turnpike_ceiling_hits', { ceiling: 'x', name: '' }).add(1))
  assert.deepEqual(read([page]).samples[0]?.labels, { ceiling: 'x' })
})

test('OpenMetrics names counter families without _total, states units, writes bounds as floats and ends', () => {
  const page = pageOf('0', meter => {
    meter.counter('process_cpu_seconds', {}).add(1.5)
    meter.histogram('turnpike_gateway_duration_seconds', { http_route: 'a' }).record(1)
  })
  const { types, units, samples, hasEnd } = read([page], 'openmetrics')
  assert.equal(types.get('process_cpu_seconds'), 'counter')
  assert.equal(units.get('process_cpu_seconds'), 'seconds')
  assert.equal(samples.find(({ name }) => name === 'process_cpu_seconds_total')?.value, 1.5)
  assert.ok(samples.some(({ labels }) => labels.le === '1.0'))
  assert.ok(hasEnd)
  assert.equal(read([page]).hasEnd, false)
})

const prometheusAccept =
  'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,' +
  'text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1'

for (const [accept, format] of [
  [undefined, 'prometheus'],
  ['*/*', 'prometheus'],
  ['text/plain', 'prometheus'],
  ['application/openmetrics-text', 'openmetrics'],
  ['application/openmetrics-text; version=2.0.0', 'prometheus'],
  ['application/openmetrics-text;q=0.1, text/plain', 'prometheus'],
  ['application/openmetrics-text;q=0', 'prometheus'],
  ['text/html, */*;q=0.8', 'prometheus'],
  [prometheusAccept, 'openmetrics'],
] as const) {
  test(`Accept: ${accept} is answered as ${format}`, () => assert.equal(chooseMetricsFormat(accept), format))
}
