// The official suite of JSON Schema, which Debian carries with libtest-json-schema-acceptance-perl.

import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { DocumentError, type Fields, isFields } from './document.ts'
import { Schemas } from './schema.ts'

const folder = '/usr/share/perl5/auto/share/dist/Test-JSON-Schema-Acceptance/tests/draft2020-12'
const root = process.env['JSON_SCHEMA_SUITE'] ?? folder
const skip = existsSync(root) ? false : 'no suite: apt-get install libtest-json-schema-acceptance-perl'

interface Case {
  readonly description: string
  readonly schema: unknown
  readonly tests: readonly { readonly description: string; readonly data: unknown; readonly valid: boolean }[]
}

test('the suite of draft 2020-12: right, refused when compiled, or wrong', { skip }, t => {
  const count = { right: 0, refused: 0, wrong: 0 }
  const wrong: string[] = []
  for (const file of globSync('*.json', { cwd: root })) {
    for (const { description, schema, tests } of JSON.parse(readFileSync(path.join(root, file), 'utf8')) as Case[]) {
      const validate = validatorOf(schema)
      for (const { description: what, data, valid } of tests) {
        const got = validate === null ? null : validate(data).length === 0
        count[got === null ? 'refused' : got === valid ? 'right' : 'wrong']++
        if (got !== null && got !== valid) wrong.push(`${file}: ${description}: ${what}: ${got ? 'passed' : 'refused'}`)
      }
    }
  }
  t.diagnostic(`suite of JSON Schema 2020-12: ${JSON.stringify(count)}`)
  assert.deepEqual(wrong, [])
  assert.ok(count.right >= 1000, JSON.stringify(count))
})

function validatorOf(schema: unknown) {
  const document = { version: '3.1', root: isFields(schema) ? schema : ({} as Fields) } as const
  try {
    const schemas = new Schemas(document, { direction: 'request', unsafePatterns: 'refuse' })
    return schemas.validator({ value: schema, pointer: '' })
  } catch (error) {
    if (error instanceof DocumentError) return null
    throw error
  }
}
