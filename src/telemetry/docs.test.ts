import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import test from 'node:test'
import { createLineFormat } from './access-line.ts'
import { lineBytesMax } from './line-writer.ts'
import { HiddenParameters } from './redact.ts'
import { fakeFinished } from './fakes.ts'
import { type MetricDefinition, metrics } from './metrics.ts'

const read = (name: string) => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8')

test('docs/metrics.md has a row for every metric, in order, and for no other', () => {
  const rows = read('metrics.md')
    .split('\n')
    .filter(line => line.startsWith('| `'))
  const expected = Object.entries<MetricDefinition>(metrics).map(([name, { type, labels, help }]) => {
    const shown = type === 'counter' ? `${name}_total` : name
    return `| \`${shown}\` | ${type} | ${labels.map(label => `\`${label}\``).join(', ')} | ${help} |`
  })
  assert.deepEqual(rows, expected)
})

test('docs/metrics.md names every ceiling that may be hit', () => {
  const root = new URL('..', import.meta.url)
  const counting = globSync('**/*.ts', { cwd: root, exclude: ['**/*.test.ts'] })
    .map(file => readFileSync(new URL(file, root), 'utf8'))
    .filter(text => text.includes("'turnpike_ceiling_hits'"))
  const ceilings = counting.flatMap(text =>
    [...text.matchAll(/(?:ceiling: |hits(?:Of)?\()'([a-z-]+)'/g)].map(([, name]) => `\`${name}\``),
  )
  assert.ok(ceilings.length >= counting.length)
  const page = read('metrics.md')
  for (const ceiling of ceilings) assert.ok(page.includes(ceiling), ceiling)
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
  const documented = read('logs.md')
    .split('\n')
    .filter(line => line.startsWith('| `'))
    .flatMap(line => [...(line.split('|')[1] ?? '').matchAll(/`(\w+)`/g)].map(([, name]) => name))
  const bytes = Buffer.alloc(lineBytesMax)
  const line = bytes.toString('latin1', 0, createLineFormat(new HiddenParameters())(event, bytes, 0))
  assert.deepEqual(Object.keys(JSON.parse(line) as object), documented)
})
