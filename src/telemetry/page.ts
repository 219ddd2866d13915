// The shared memory behind the metrics of one thread, and the directory that says what stands where.

import { type MetricDefinition, metrics } from './metrics.ts'

/** Cells of one chunk; 64 kB. Chunks are added as series appear, so that memory follows use. */
export const chunkCells = 8192

export interface SeriesEntry {
  readonly metric: string
  /** Rendered and escaped as in the exposition formats: `http_route="catalog",url_scheme="http"`; empty without labels. */
  readonly labels: string
  /** Index into `MetricPage.chunks`. */
  readonly chunk: number
  /** First cell in the chunk. A histogram has its buckets, the infinite one included, then the sum. */
  readonly slot: number
}

/**
 * The metrics of one thread: it alone writes, the main thread reads at a scrape. An aligned 8-byte write by a single writer
 * needs no Atomics. The page outlives its worker: a replacement gets it and counts on.
 */
export interface MetricPage {
  /** Value of the label `thread`: `main`, `0`, `1`, …. */
  readonly thread: string
  readonly chunks: SharedArrayBuffer[]
  readonly series: SeriesEntry[]
}

/** What the writer of a page tells its reader, in this order. */
export type PageNews =
  | { readonly kind: 'chunk'; readonly buffer: SharedArrayBuffer }
  | { readonly kind: 'series'; readonly entry: SeriesEntry }

export function createPage(thread: string): MetricPage {
  return { thread, chunks: [], series: [] }
}

/** Enters the news of a worker in the main thread's copy of its page. */
export function applyPageNews(page: MetricPage, news: PageNews): void {
  if (news.kind === 'chunk') page.chunks.push(news.buffer)
  else page.series.push(news.entry)
}

/** Number of cells of one series. */
export function cellsOf(definition: MetricDefinition): number {
  return definition.type === 'histogram' ? (definition.buckets?.length ?? 0) + 2 : 1
}

/** Sets every gauge of a page to 0: what a dead worker held is gone, what it counted is not. */
export function clearGauges(page: MetricPage): void {
  const table: Readonly<Record<string, MetricDefinition>> = metrics
  for (const { metric, chunk, slot } of page.series) {
    const buffer = page.chunks[chunk]
    if (table[metric]?.type === 'gauge' && buffer !== undefined) new Float64Array(buffer)[slot] = 0
  }
}
