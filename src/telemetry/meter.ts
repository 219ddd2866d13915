// The Meter port over a page of shared memory: making a series looks it up, recording is a write to an array.

import type { Counter, Gauge, Histogram, Labels, Meter } from '../core/ports.ts'
import { type MetricDefinition, type MetricName, metrics } from './metrics.ts'
import { cellsOf, chunkCells, clearGauges, type MetricPage, type PageNews, type SeriesEntry } from './page.ts'

export interface MeterOptions {
  /** This thread's page; that of its predecessor where it replaces one. Belongs to the meter from now on. */
  readonly page: MetricPage
  /** Tells the reader of the page; the main thread, which reads its own page, passes nothing. */
  readonly announce?: (news: PageNews) => void
  /** Series per metric and thread; further ones are folded into one whose labels say `other`. */
  readonly seriesMax?: number
}

const definitions: Readonly<Record<string, MetricDefinition>> = metrics

/** Throws for a name, type or label that the table of metrics does not have. The same series asked again is the same cells. */
export function createMeter({ page, announce = () => {}, seriesMax = 10_000 }: MeterOptions): Meter {
  clearGauges(page)
  const directory = createDirectory(page)
  const allocate = createAllocator(page, announce)

  const seriesOf = (name: string, definition: MetricDefinition, labels: string): SeriesEntry => {
    const known = directory.find(name, labels)
    if (known !== undefined) return known
    return directory.add(allocate(name, labels, cellsOf(definition)))
  }

  const locate = (type: MetricDefinition['type'], name: string, labels: Labels): SeriesEntry => {
    const definition = definitions[name]
    if (definition?.type !== type) throw new Error(`there is no ${type} named ${name} in the table of metrics`)
    const text = renderLabels(name, definition, labels)
    if (directory.count(name) < seriesMax || directory.find(name, text) !== undefined) {
      return seriesOf(name, definition, text)
    }
    const overflow: MetricName = 'turnpike_metrics_series_overflow'
    if (name !== overflow) counter(overflow, { metric: name }).add(1)
    const other = Object.fromEntries(definition.labels.map(label => [label, 'other']))
    return seriesOf(name, definition, renderLabels(name, definition, other))
  }

  const cellsAt = (entry: SeriesEntry) => new Float64Array(page.chunks[entry.chunk] as SharedArrayBuffer)

  const counter = (name: string, labels: Labels): Counter => {
    const entry = locate('counter', name, labels)
    return createCounter(cellsAt(entry), entry.slot)
  }
  const gauge = (name: string, labels: Labels): Gauge => {
    const entry = locate('gauge', name, labels)
    return createGauge(cellsAt(entry), entry.slot)
  }
  const histogram = (name: string, labels: Labels): Histogram => {
    const entry = locate('histogram', name, labels)
    return createHistogram(cellsAt(entry), entry.slot, definitions[name]?.buckets ?? [])
  }
  return { counter, gauge, histogram }
}

function createCounter(cells: Float64Array, slot: number): Counter {
  return {
    add: amount => {
      cells[slot] = (cells[slot] as number) + amount
    },
  }
}

function createGauge(cells: Float64Array, slot: number): Gauge {
  return {
    set: value => {
      cells[slot] = value
    },
  }
}

/** Hot path: the bounds are padded to a power of two, so that the search is a fixed number of halvings. */
function createHistogram(cells: Float64Array, slot: number, buckets: readonly number[]): Histogram {
  const sumSlot = slot + buckets.length + 1
  let half = 1
  while (half < buckets.length) half *= 2
  const bounds = new Float64Array(half * 2).fill(Infinity)
  bounds.set(buckets)
  return {
    record: measured => {
      // A clock that went wrong must not poison a sum that lives as long as the process.
      const value = measured > 0 ? measured : 0
      let at = 0
      for (let step = half; step > 0; step >>= 1) if (value > (bounds[at + step - 1] as number)) at += step
      cells[slot + at] = (cells[slot + at] as number) + 1
      cells[sumSlot] = (cells[sumSlot] as number) + value
    },
  }
}

/** Finds room for a series: a new chunk where the last one is full. */
function createAllocator(page: MetricPage, announce: (news: PageNews) => void) {
  let free = firstFreeCell(page)
  return (metric: string, labels: string, size: number): SeriesEntry => {
    if (free + size > chunkCells) {
      const buffer = new SharedArrayBuffer(chunkCells * 8)
      page.chunks.push(buffer)
      announce({ kind: 'chunk', buffer })
      free = 0
    }
    const entry = { metric, labels, chunk: page.chunks.length - 1, slot: free }
    // A predecessor that died before its news arrived may have written here.
    new Float64Array(page.chunks[entry.chunk] as SharedArrayBuffer).fill(0, free, free + size)
    free += size
    page.series.push(entry)
    announce({ kind: 'series', entry })
    return entry
  }
}

/** In the last chunk of the page; past its end where there is no chunk. */
function firstFreeCell(page: MetricPage): number {
  if (page.chunks.length === 0) return chunkCells
  const last = page.series.at(-1)
  if (last === undefined || last.chunk < page.chunks.length - 1) return 0
  const definition = definitions[last.metric]
  return definition === undefined ? chunkCells : last.slot + cellsOf(definition)
}

/** Series by metric and labels. */
function createDirectory(page: MetricPage) {
  const byMetric = new Map<string, Map<string, SeriesEntry>>()
  const directory = {
    find: (metric: string, labels: string) => byMetric.get(metric)?.get(labels),
    count: (metric: string) => byMetric.get(metric)?.size ?? 0,
    add: (entry: SeriesEntry): SeriesEntry => {
      const ofMetric = byMetric.get(entry.metric)
      if (ofMetric === undefined) byMetric.set(entry.metric, new Map([[entry.labels, entry]]))
      else ofMetric.set(entry.labels, entry)
      return entry
    },
  }
  for (const entry of page.series) directory.add(entry)
  return directory
}

function renderLabels(name: string, definition: MetricDefinition, labels: Labels): string {
  for (const label of Object.keys(labels)) {
    if (!definition.labels.includes(label)) throw new Error(`the metric ${name} has no label ${label}`)
  }
  let text = ''
  for (const label of definition.labels) {
    const value = labels[label]
    if (value) text += `${text === '' ? '' : ','}${label}="${escapeLabel(value)}"`
  }
  return text
}

function escapeLabel(value: string): string {
  return value.replace(/[\\"\n]/g, character => (character === '\n' ? '\\n' : `\\${character}`))
}
