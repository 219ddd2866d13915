// The metrics of all threads as text: Prometheus 0.0.4 or OpenMetrics 1.0.

import { type MetricDefinition, metrics } from './metrics.ts'
import { cellsOf, type MetricPage } from './page.ts'

export type MetricsFormat = 'prometheus' | 'openmetrics'

export const metricsContentType: Readonly<Record<MetricsFormat, string>> = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
}

const definitions: Readonly<Record<string, MetricDefinition>> = metrics

/** One series merged over the threads. */
type Values = Float64Array

/** Metrics without a series are left out. */
export function renderMetrics(pages: readonly MetricPage[], format: MetricsFormat): string {
  const merged = mergePages(pages)
  const parts: string[] = []
  for (const [name, definition] of Object.entries(definitions)) {
    const series = merged.get(name)
    if (series === undefined) continue
    parts.push(renderHead(name, definition, format))
    for (const [labels, values] of series) parts.push(renderSeries(name, definition, labels, values, format))
  }
  if (format === 'openmetrics') parts.push('# EOF\n')
  return parts.join('')
}

/** The format that the Accept field prefers; Prometheus text where it does not say. */
export function chooseMetricsFormat(accept: string | undefined): MetricsFormat {
  let openmetrics = 0
  let text = 0
  for (const range of (accept ?? '').toLowerCase().split(',')) {
    const [type = '', ...parameters] = range.split(';').map(part => part.trim())
    const weight = Number(parameters.find(parameter => parameter.startsWith('q='))?.slice(2) ?? 1)
    const version = parameters.find(parameter => parameter.startsWith('version='))?.slice(8)
    if (type === 'application/openmetrics-text' && (version ?? '1.0.0') === '1.0.0') {
      openmetrics = Math.max(openmetrics, weight)
    } else if (type === 'text/plain' || type === 'text/*' || type === '*/*') text = Math.max(text, weight)
  }
  return openmetrics > 0 && openmetrics >= text ? 'openmetrics' : 'prometheus'
}

function mergePages(pages: readonly MetricPage[]): Map<string, Map<string, Values>> {
  const merged = new Map<string, Map<string, Values>>()
  for (const page of pages) {
    const chunks = page.chunks.map(chunk => new Float64Array(chunk))
    for (const { metric, labels, chunk, slot } of page.series) {
      const definition = definitions[metric]
      const cells = chunks[chunk]
      if (definition === undefined || cells === undefined) continue
      const series = merged.get(metric) ?? new Map<string, Values>()
      merged.set(metric, series)
      const key = definition.merge === 'thread' ? joinLabels(labels, `thread="${page.thread}"`) : labels
      const values = cells.subarray(slot, slot + cellsOf(definition))
      const sum = series.get(key)
      if (sum === undefined) series.set(key, values.slice())
      else mergeInto(sum, values, definition.merge === 'max')
    }
  }
  return merged
}

function mergeInto(sum: Values, values: Values, isMax: boolean): void {
  values.forEach((value, index) => {
    const before = sum[index] ?? 0
    sum[index] = isMax ? Math.max(before, value) : before + value
  })
}

function renderHead(name: string, { type, unit, help }: MetricDefinition, format: MetricsFormat): string {
  const isOpen = format === 'openmetrics'
  const family = !isOpen && type === 'counter' ? `${name}_total` : name
  const unitLine = isOpen && unit !== '' ? `# UNIT ${family} ${unit}\n` : ''
  return `# TYPE ${family} ${type}\n${unitLine}# HELP ${family} ${escapeHelp(help)}\n`
}

function renderSeries(
  name: string,
  { type, buckets = [] }: MetricDefinition,
  labels: string,
  values: Values,
  format: MetricsFormat,
): string {
  if (type !== 'histogram') {
    const sample = type === 'counter' ? `${name}_total` : name
    return `${sample}${braced(labels)} ${renderNumber(values[0] ?? 0)}\n`
  }
  let text = ''
  let count = 0
  for (let index = 0; index <= buckets.length; index++) {
    count += values[index] ?? 0
    const bound = renderBound(buckets[index], format)
    text += `${name}_bucket${braced(joinLabels(labels, `le="${bound}"`))} ${renderNumber(count)}\n`
  }
  text += `${name}_sum${braced(labels)} ${renderNumber(values[buckets.length + 1] ?? 0)}\n`
  return `${text}${name}_count${braced(labels)} ${renderNumber(count)}\n`
}

/** OpenMetrics wants bounds written as floating-point numbers. */
function renderBound(bound: number | undefined, format: MetricsFormat): string {
  if (bound === undefined) return '+Inf'
  return format === 'openmetrics' && Number.isInteger(bound) ? `${bound}.0` : String(bound)
}

function renderNumber(value: number): string {
  if (Number.isFinite(value)) return String(value)
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf'
}

function joinLabels(labels: string, label: string): string {
  return labels === '' ? label : `${labels},${label}`
}

function braced(labels: string): string {
  return labels === '' ? '' : `{${labels}}`
}

function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"')
}
