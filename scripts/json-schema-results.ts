// Writes docs/json-schema.md: how the schemas of `validate` do in the official suite of JSON Schema.
//
// node scripts/json-schema-results.ts > docs/json-schema.md

import { type Counts, noSuite, runSuite } from '../test/tools/json-schema-suite.ts'

/** The whole page. */
export function jsonSchemaResults(): string {
  const required = runSuite('required')
  const optional = runSuite('optional')
  return `# JSON Schema: results of the official suite

The policy [\`validate\`](policies/validate.md) checks values by JSON Schema 2020-12. These are its results in the official test
suite for that draft, every schema of which is run as a file that an OpenAPI 3.1 document refers to. The page is written by
\`node scripts/json-schema-results.ts > docs/json-schema.md\`, and a test holds it against a run.

- **right**: valid and passed, or invalid and held back;
- **refused**: the schema is a mistake when the config is checked, so no call is ever judged by it;
- **passed** though invalid, and **held** back though valid: wrong.

## Required cases

${table(required)}

## Optional cases

What a validator may do as well. Formats are checked or ignored as [the page of the policy](policies/validate.md) lists; texts that
break an ignored one pass. Documents of older drafts are not followed.

${table(optional)}

Not right among these are:

${optional.flatMap(sample).join('\n')}
`
}

const columns = ['right', 'refused', 'passed', 'held'] as const

function table(all: readonly Counts[]): string {
  const sum = (key: (typeof columns)[number]) => all.reduce((total, counts) => total + counts[key], 0)
  return [
    `| file | ${columns.join(' | ')} |`,
    '|---|---|---|---|---|',
    ...all.map(counts =>
      row(
        `\`${counts.file.replace('optional/', '')}\``,
        columns.map(key => counts[key]),
      ),
    ),
    row('**all**', columns.map(sum)),
  ].join('\n')
}

function row(name: string, cells: readonly number[]): string {
  return `| ${name} | ${cells.join(' | ')} |`
}

/** The first case of a file that is not right, and how many there are. */
function sample({ others }: Counts): string[] {
  const [first] = others
  if (first === undefined) return []
  return [
    `- ${first.replaceAll('`', "'").replace('optional/', '')}${others.length > 1 ? ` (and ${others.length - 1} more)` : ''}`,
  ]
}

if (import.meta.main) {
  if (noSuite !== false) throw new Error(noSuite)
  process.stdout.write(jsonSchemaResults())
}
