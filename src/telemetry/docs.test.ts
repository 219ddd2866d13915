import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import test from 'node:test'
import { createLineFormat } from './access-line.ts'
import { lineBytesMax } from './line-writer.ts'
import { HiddenParameters } from './redact.ts'
import { fakeFinished } from './fakes.ts'
import { type MetricDefinition, metrics } from './metrics.ts'

const read = (name: string) => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8')

/** Rows of the tables in a section of the page of metrics. */
function rowsOf(section: string): string[] {
  const from = read('metrics.md').split(`${section}\n`)[1] ?? assert.fail(`there is no ${section}`)
  const [text = ''] = from.split(/^#/m)
  return text.split('\n').filter(line => line.startsWith('| `'))
}

test('docs/metrics.md has a row for every metric, in order, and for no other', () => {
  const expected = Object.entries<MetricDefinition>(metrics).map(([name, { type, labels, help }]) => {
    const shown = type === 'counter' ? `${name}_total` : name
    return `| \`${shown}\` | ${type} | ${labels.map(label => `\`${label}\``).join(', ')} | ${help} |`
  })
  assert.deepEqual(rowsOf('## The table'), expected)
})

const namesIn = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map(([, name]) => name)

test('docs/metrics.md has every ceiling that is counted, and no other', () => {
  const root = new URL('..', import.meta.url)
  const counting = globSync('**/*.ts', { cwd: root, exclude: ['**/*.test.ts'] })
    .map(file => readFileSync(new URL(file, root), 'utf8'))
    .filter(text => text.includes("'turnpike_ceiling_hits'"))
  const counted = counting.flatMap(text => namesIn(text, /(?:ceiling: |hits(?:Of)?\()'([a-z-]+)'/g))
  // The header of the table names its columns.
  const [, ...rows] = rowsOf('### Ceilings')
  const documented = rows.flatMap(row => namesIn(row.split('|')[1] ?? '', /`([a-z-]+)`/g))
  assert.deepEqual(new Set(documented), new Set(counted))
})

test('docs/logs.md names every field of a line of the access log', () => {
  const event = fakeFinished({
    query: '?a=1',
    path: '/'.repeat(5000),
    headers: { 'user-agent': 'a', referer: 'b', traceparent: '0'.repeat(55) },
    upstream: 'stock',
    code: 'internal',
    detail: 'it broke',
  })
  Object.assign(event.call, { askedTarget: { id: 'http://stock.test:80 10.0.0.7' }, tries: 2, grpcStatus: 0 })
  const documented = read('logs.md')
    .split('\n')
    .filter(line => line.startsWith('| `'))
    .flatMap(line => [...(line.split('|')[1] ?? '').matchAll(/`(\w+)`/g)].map(([, name]) => name))
  const bytes = Buffer.alloc(lineBytesMax)
  const line = bytes.toString('latin1', 0, createLineFormat(new HiddenParameters())(event, bytes, 0))
  assert.deepEqual(Object.keys(JSON.parse(line) as object), documented)
})
