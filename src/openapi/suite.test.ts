// The official suite of JSON Schema, which Debian carries with libtest-json-schema-acceptance-perl.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { jsonSchemaResults } from '../../scripts/json-schema-results.ts'
import { noSuite, runSuite } from '../../test/tools/json-schema-suite.ts'

test('all required cases of the suite of draft 2020-12 come out right', { skip: noSuite }, () => {
  const results = runSuite('required')
  assert.deepEqual(
    results.flatMap(({ others }) => others),
    [],
  )
  assert.ok(results.reduce((sum, { right }) => sum + right, 0) >= 1_176)
})

test('docs/json-schema.md lists the results as they are', { skip: noSuite }, () => {
  const written = readFileSync(new URL('../../docs/json-schema.md', import.meta.url), 'utf8')
  assert.equal(jsonSchemaResults(), written, 'write it anew: node scripts/json-schema-results.ts > docs/json-schema.md')
})
