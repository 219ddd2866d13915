// Holds the imports of src against the table in scripts/import-rules.ts, and shows that each rule can fail.

import assert from 'node:assert/strict'
import path from 'node:path'
import { test } from 'node:test'
import { findBreaches, importsOf, readSources } from '../scripts/imports.ts'

const breaches = (files: Record<string, string>) => findBreaches(new Map(Object.entries(files)))

test('src keeps to the table of imports', () => {
  const sources = readSources(path.join(import.meta.dirname, '..'))
  assert.ok(sources.size > 10, 'the sources were not found')
  assert.deepEqual(findBreaches(sources), [])
})

test('an import against the direction is named with its edge and rule', () => {
  assert.deepEqual(breaches({ 'src/policies/cors/cors.ts': `import { Listener } from '../../edge/listener.ts'` }), [
    'src/policies/cors/cors.ts -> src/edge/listener.ts: policies may import only core, identity, limits, openapi',
  ])
})

test('core imports nothing', () => {
  assert.deepEqual(breaches({ 'src/core/call.ts': `import type { Head } from '../http/head.ts'` }), [
    'src/core/call.ts -> src/http/head.ts: core may import nothing',
  ])
})

test('types may pass where the table says so, values may not', () => {
  const file = 'src/runtime/compile.ts'
  assert.deepEqual(breaches({ [file]: `import type { Config } from '../config/config.ts'` }), [])
  assert.deepEqual(breaches({ [file]: `import { type Config, type Other } from '../config/config.ts'` }), [])
  assert.deepEqual(breaches({ [file]: `import { type Config, read } from '../config/config.ts'` }), [
    'src/runtime/compile.ts -> src/config/config.ts: runtime may import only core, config (types)',
  ])
})

test('policies never import each other', () => {
  assert.deepEqual(breaches({ 'src/policies/cors/cors.ts': `import { trie } from '../ip/trie.ts'` }), [
    'src/policies/cors/cors.ts -> src/policies/ip/trie.ts: policies never import each other',
  ])
})

test('a package is imported only where it is listed', () => {
  assert.deepEqual(breaches({ 'src/edge/a.ts': `import { parse } from 'yaml'` }), [
    'src/edge/a.ts -> yaml: only config, openapi may import this package',
  ])
  assert.deepEqual(breaches({ 'src/edge/a.ts': `import pad from '@left/pad/now'` }), [
    'src/edge/a.ts -> @left/pad/now: scripts/import-rules.ts does not list this package',
  ])
})

test('sockets are opened only where they belong', () => {
  assert.deepEqual(breaches({ 'src/http/codec.ts': `import net from 'node:net'` }), [
    'src/http/codec.ts -> node:net: only edge, outside, upstreams, threads, control, cli, . may import it',
  ])
  assert.deepEqual(breaches({ 'src/http/codec.ts': `import type { Socket } from 'node:net'` }), [])
  assert.deepEqual(breaches({ 'src/config/formats.ts': `import { isIP } from 'node:net'` }), [])
})

test('a circle of imports is printed whole', () => {
  const files = {
    'src/core/a.ts': `import { b } from './b.ts'`,
    'src/core/b.ts': `export { c } from './c.ts'`,
    'src/core/c.ts': `const a = await import('./a.ts')`,
  }
  assert.deepEqual(breaches(files), [
    'src/core/a.ts -> src/core/b.ts -> src/core/c.ts -> src/core/a.ts: imports go round in a circle',
  ])
})

test('importing for a side effect, long files and unknown folders are refused', () => {
  assert.match(breaches({ 'src/cli/run.ts': `import '../core/setup.ts'` }).join(), /nothing is registered/)
  assert.match(breaches({ 'src/core/long.ts': 'x\n'.repeat(401) }).join(), /^src\/core\/long\.ts: 401 lines/)
  assert.match(
    breaches({ 'src/helpers/x.ts': `import fs from 'node:fs'` }).join(),
    /no line for the folder src\/helpers/,
  )
})

test('tests may import anything', () => {
  assert.deepEqual(breaches({ 'src/core/call.test.ts': `import * as fc from 'fast-check'` }), [])
})

test('imports over several lines are seen', () => {
  const text = `import {\n  type A,\n  b,\n} from '../http/head.ts'\nexport * from './c.ts'`
  assert.deepEqual(importsOf('src/edge/x.ts', text), [
    { from: 'src/edge/x.ts', to: 'src/http/head.ts', isType: false, names: ['type A', 'b'] },
    { from: 'src/edge/x.ts', to: 'src/edge/c.ts', isType: false, names: [] },
  ])
})
