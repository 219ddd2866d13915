// Golden pairs: each config beside its blueprint or its messages. `UPDATE_GOLDEN=1` writes them anew.

import assert from 'node:assert/strict'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { language } from '../../../src/builtin.ts'
import { loadSources } from '../../../src/config/load.ts'
import { formatProblems } from '../../../src/config/problem.ts'
import { resolve } from '../../../src/config/resolve.ts'

const folder = import.meta.dirname
const env = { PORT: '8081', WORD: 'many', KEY: 'a-key-from-the-outside-0123' }

const cases = readdirSync(folder, { withFileTypes: true })
  .filter(entry => (entry.isDirectory() ? entry.name !== 'files' : entry.name.endsWith('.yaml')))
  .map(entry => entry.name)

for (const name of cases) {
  test(`the config ${name} gives what stands beside it`, async () => {
    const { kind, text } = await outcomeOf(name)
    const base = join(folder, name.replace(/\.yaml$/, ''))
    const [expected, other] = [`${base}.${kind}`, `${base}.${kind === 'errors.txt' ? 'blueprint.json' : 'errors.txt'}`]
    if (process.env['UPDATE_GOLDEN'] === '1') {
      writeFileSync(expected, text)
      rmSync(other, { force: true })
    }
    assert.equal(text, readFileSync(expected, 'utf8'))
  })
}

test('every config whose name begins with ok- resolves, and no other', async () => {
  for (const name of cases) {
    const { kind } = await outcomeOf(name)
    assert.equal(kind, name.startsWith('ok-') ? 'blueprint.json' : 'errors.txt', name)
  }
})

async function outcomeOf(name: string): Promise<{ kind: 'errors.txt' | 'blueprint.json'; text: string }> {
  const loaded = await loadSources(join(folder, name))
  const sources = loaded.map(source => ({ ...source, label: source.path.slice(folder.length + 1) }))
  const surroundings = { env, readText: (path: string) => readFileSync(path, 'utf8') }
  const resolution = resolve({ sources, language, surroundings })
  if (!resolution.ok) return { kind: 'errors.txt', text: formatProblems(resolution.problems) }
  const text = `${JSON.stringify(resolution.shown, null, 2)}\n`
  return { kind: 'blueprint.json', text: text.replaceAll(`${folder}/`, '') }
}
