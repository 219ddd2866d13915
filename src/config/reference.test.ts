import assert from 'node:assert/strict'
import { test } from 'node:test'
import { renderReference } from './reference.ts'
import { language } from './test-language.ts'

const page = renderReference(language)

/** The text under a title, up to the next one. */
function section(title: string): string {
  const from = page.indexOf(`\n${title}\n`)
  assert.ok(from >= 0, title)
  const next = page.indexOf('\n#', from + title.length)
  return page.slice(from, next === -1 ? undefined : next)
}

test('every key of the file has its type, default and meaning', () => {
  const drain = '| `drain` | duration | `30s` | How long calls may go on after the order to stop. |'
  assert.ok(section('## The file').includes(drain))
  assert.ok(section('## `listeners`').includes('| `port` | whole number, 0 to 65535 | **required** | TCP port;'))
  assert.ok(section('### `upstreams.retry`').includes('| `budget` | percentage | `20%` |'))
})

test('every policy and end has a section with its summary and options', () => {
  for (const { name, summary } of [...language.policies, ...language.ends]) {
    assert.ok(section(`### \`${name}\``).includes(summary), name)
  }
  const tag = section('### `tag`')
  assert.ok(tag.includes('Short form: the value of `tags` alone.'))
  assert.ok(tag.includes('| `tags` | template, or a list | **required** |'))
  assert.ok(section('### `rate-limit`').includes('| `burst` | whole number, at least 1 or `"none"` | – |'))
})

test('every unit is explained', () => {
  const units = section('## How values are written')
  for (const noun of ['duration', 'size', 'rate', 'percentage', 'path pattern'])
    assert.ok(units.includes(`| ${noun} |`))
})
