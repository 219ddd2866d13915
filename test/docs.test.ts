// Holds the manual against the code: links, generated pages, codes, exit codes, and configs that are shown whole.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, globSync, readFileSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { describe, test } from 'node:test'
import { language } from '../src/builtin.ts'
import { ExitCode } from '../src/cli/exit-codes.ts'
import { resolve } from '../src/config/resolve.ts'
import { codes } from '../src/core/codes.ts'

const root = path.join(import.meta.dirname, '..')
const pages = globSync('**/*.md', { cwd: root, exclude: ['node_modules/**', 'test/golden/**'] }).sort()
const read = (file: string) => readFileSync(path.join(root, file), 'utf8')
const withoutCode = (text: string) => text.replaceAll(/^```.*?^```/gms, '').replaceAll(/`[^`\n]*`/g, 'code')

/** The anchors of a page's headings, as GitHub makes them. */
function anchorsOf(file: string): Set<string> {
  const headings = read(file)
    .replaceAll(/^```.*?^```/gms, '')
    .matchAll(/^#+ (.+)$/gm)
  return new Set(
    [...headings].map(([, title = '']) =>
      title
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  )
}

test('the manual was found', () => assert.ok(pages.includes('README.md') && pages.includes('docs/errors.md')))

for (const page of pages) {
  test(`every relative link of ${page} leads somewhere`, () => {
    const broken = [...withoutCode(read(page)).matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, link = '']) => {
      if (/^[a-z]+:/.test(link)) return []
      const [file = '', anchor] = link.split('#')
      const target = file === '' ? page : path.join(path.dirname(page), file)
      if (!existsSync(path.join(root, target))) return [link]
      return anchor === undefined || anchorsOf(target).has(anchor) ? [] : [link]
    })
    assert.deepEqual(broken, [])
  })
}

describe('docs/errors.md', () => {
  const sections = read('docs/errors.md')
    .split(/^### /m)
    .slice(1)
    .map(section => [/^`([^`]+)`\n/.exec(section)?.[1], section] as const)

  test('has a section for every code, in the order of the table, and for no other', () => {
    assert.deepEqual(
      sections.map(([code]) => code),
      Object.keys(codes),
    )
  })

  for (const [code, { status, source, text }] of Object.entries(codes)) {
    test(`${code} has its status, side and text`, () => {
      const section = sections.find(([name]) => name === code)?.[1] ?? ''
      const line = `**${status === 0 ? 'no reply' : status}** · ${source} · “${text}”`
      assert.ok(section.includes(line), `it should say: ${line}`)
    })
  }
})

test('docs/lifecycle.md names every code that a call can end in', () => {
  const page = read('docs/lifecycle.md')
  const missing = Object.keys(codes).filter(code => !page.includes(`[\`${code}\`](errors.md#${code})`))
  assert.deepEqual(missing, [])
})

test('docs/cli.md and --help name every exit code', () => {
  const page = read('docs/cli.md')
  const help = print('--help')
  for (const code of Object.values(ExitCode)) {
    assert.match(page, new RegExp(`^\\| ${code} \\| `, 'm'))
    assert.match(help, new RegExp(`^ +${code} {2}`, 'm'))
  }
})

test('docs/cli.md names every command', () => {
  const commands = [...print('--help').matchAll(/^ {2}(\w+) \[/gm)].map(([, name = '']) => name)
  assert.ok(commands.length >= 5)
  for (const name of commands) if (name !== 'help') assert.ok(read('docs/cli.md').includes(`turnpike ${name}`), name)
})

for (const [command, file] of [
  ['reference', 'docs/reference.md'],
  ['schema', 'docs/turnpike.schema.json'],
] as const) {
  test(`${file} is what \`turnpike ${command}\` prints`, () => {
    assert.ok(print(command) === read(file), `${file} is out of date. Run: bin/turnpike ${command} > ${file}`)
  })
}

test('no key of the reference is without a meaning', () => assert.doesNotMatch(read('docs/reference.md'), /\|\s+\|$/m))

test('docs/metrics.md names every ceiling that the code counts', () => {
  const sources = globSync('src/**/*.ts', { cwd: root, exclude: ['**/*.test.ts'] }).map(read)
  const counting = sources.filter(text => text.includes("'turnpike_ceiling_hits'"))
  const found = counting.flatMap(text => [...text.matchAll(/(?:ceiling: |\bhits(?:Of)?\()'([a-z-]+)'/g)])
  const names = new Set(found.map(([, name = '']) => name))
  const page = read('docs/metrics.md').split('### Ceilings')[1] ?? ''
  assert.ok(names.size >= 20, [...names].join())
  assert.deepEqual(
    [...names].filter(name => !page.includes(`\`${name}\``)),
    [],
  )
})

test('no page names the counter of ceilings by another name than it is scraped by', () => {
  assert.deepEqual(
    pages.filter(page => /turnpike_ceiling_hits(?!_total)/.test(read(page))),
    [],
  )
})

test('docs/README.md lists every page of the manual', () => {
  const index = read('docs/README.md')
  const own = pages.filter(page => /^docs\/(?!decisions\/|README\.md)/.test(page))
  assert.deepEqual(
    own.filter(page => !index.includes(`](${path.relative('docs', page)})`)),
    [],
  )
})

for (const page of pages.filter(file => /^docs\/(policies|ends)\//.test(file))) {
  const name = path.basename(page, '.md')
  if (name === 'grpc-web') continue
  test(`${page} leads to its options`, () => assert.ok(read(page).includes(`](../reference.md#${name})`)))
}

/** All that is shown of configs: but what belongs to other programs, to policies that do not ship, or into a list. */
for (const page of pages) {
  const blocks = [...read(page).matchAll(/^```yaml\n(.*?)^```/gms)].map(([, text = '']) => text)
  const configs = blocks.filter(
    text => /^[a-z]/m.test(text) && !/signed-link|quiet-hours|scrape_configs|^- /m.test(text),
  )
  for (const [index, text] of configs.entries()) {
    test(`config ${index + 1} of ${page} has no mistakes`, () => {
      const sources = [{ path: '/turnpike.yaml', label: page, text }]
      const result = resolve({
        sources,
        language,
        surroundings: { env: envOf(text), readText: file => (file.endsWith('openapi.yaml') ? 'openapi: 3.1.0' : '') },
      })
      assert.ok(result.ok, JSON.stringify(result, null, 2))
    })
  }
}

/** What a config wants from the environment, each a secret that is long enough. */
function envOf(text: string): Record<string, string> {
  return Object.fromEntries([...text.matchAll(/\$\{env:(\w+)\}/g)].map(([, name = '']) => [name, 'x'.repeat(40)]))
}

function print(...words: string[]): string {
  return execFileSync(process.execPath, ['src/main.ts', ...words], { cwd: root, encoding: 'utf8' })
}
