// The official suite of JSON Schema for draft 2020-12, run through the schemas of an OpenAPI 3.1 document.
//
// Debian carries it with libtest-json-schema-acceptance-perl.

import { existsSync, globSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { readDocument } from '../../src/openapi/document.ts'
import { DocumentError } from '../../src/openapi/part.ts'
import { Schemas } from '../../src/openapi/schema.ts'

const folder = process.env['JSON_SCHEMA_SUITE'] ?? '/usr/share/perl5/auto/share/dist/Test-JSON-Schema-Acceptance'

/** Why it cannot be run here; false where it can. */
export const noSuite: string | false = existsSync(folder)
  ? false
  : 'no suite: apt-get install libtest-json-schema-acceptance-perl'

export interface Counts {
  /** Below the folder of the draft, such as `anyOf.json`. */
  readonly file: string
  right: number
  /** Of schemas that are a mistake when the config is checked. */
  refused: number
  /** Invalid, and let through. */
  passed: number
  /** Valid, and held back. */
  held: number
  /** The cases that are not right, for people. */
  readonly others: string[]
}

interface Case {
  readonly description: string
  readonly schema: unknown
  readonly tests: readonly { readonly description: string; readonly data: unknown; readonly valid: boolean }[]
}

export function runSuite(part: 'required' | 'optional'): Counts[] {
  const root = path.join(folder, 'tests/draft2020-12')
  const files = globSync(part === 'required' ? '*.json' : 'optional/**/*.json', { cwd: root }).sort()
  return files.map(file => {
    const counts: Counts = { file, right: 0, refused: 0, passed: 0, held: 0, others: [] }
    for (const one of JSON.parse(readFileSync(path.join(root, file), 'utf8')) as Case[]) count(one, counts)
    return counts
  })
}

function count({ description, schema, tests }: Case, counts: Counts): void {
  const validate = validatorOf(schema)
  for (const { description: what, data, valid } of tests) {
    const got = typeof validate === 'string' ? null : validate(data).length === 0
    const outcome = got === null ? 'refused' : got === valid ? 'right' : got ? 'passed' : 'held'
    counts[outcome]++
    const why = typeof validate === 'string' ? `: ${validate}` : ''
    if (outcome !== 'right') counts.others.push(`${counts.file}: ${description}: ${what}: ${outcome}${why}`)
  }
}

/** The mistake in the schema where it is refused. */
function validatorOf(schema: unknown) {
  try {
    const document = readDocument({ path: '/suite/openapi.json', text: '{"openapi":"3.1.0"}' }, [
      { path: '/suite/schema.json', text: JSON.stringify(schema) },
      ...remotes(),
    ])
    const schemas = new Schemas(document, { direction: 'request', unsafePatterns: 'refuse' })
    return schemas.validator({ value: schema, pointer: 'schema.json#' })
  } catch (error) {
    if (error instanceof DocumentError) return error.message
    throw error
  }
}

/** What the suite expects at http://localhost:1234. */
function remotes() {
  const root = path.join(folder, 'remotes')
  return globSync(['*-ref-string.json', '*-ref-to-string.json', 'draft2020-12/**/*.json'], { cwd: root }).map(name => ({
    path: `/remotes/${name}`,
    uri: `http://localhost:1234/${name}`,
    text: readFileSync(path.join(root, name), 'utf8'),
  }))
}
