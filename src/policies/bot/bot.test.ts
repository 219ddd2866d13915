import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { fakePorts, makeCall, makeNext } from '../../../test/tools/call.ts'
import { OptionsError } from '../../core/policy.ts'
import { Reply } from '../../core/reply.ts'
import { bot } from './bot.ts'
import { knownBad } from './known-bad.ts'
import { compileWildcard } from './wildcard.ts'

const defaults = {
  allow: [] as string[],
  deny: [] as string[],
  known: true,
  empty: 'allow' as 'allow' | 'deny',
  mode: 'enforce' as 'enforce' | 'report',
}

async function statusOf(options: Partial<typeof defaults>, agent?: string): Promise<[number, string]> {
  const next = makeNext(() => Reply.empty(200))
  const call = makeCall({ headers: agent === undefined ? {} : { 'User-Agent': agent } })
  const step = bot.build({ ...defaults, ...options }, fakePorts(), { route: 'r', key: 'r/policies/0' })(next)
  const answer = await step(call)
  assert.equal(next.calls.length, answer.status === 200 ? 1 : 0)
  if (answer.status === 403) assert.equal(answer.code, 'bot-denied')
  return [answer.status, call.refusal]
}

const browser = 'Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0'
const table: [name: string, options: Partial<typeof defaults>, agent: string | undefined, status: number][] = [
  ['a browser', {}, browser, 200],
  ['a scanner', {}, 'SQLMap/1.8#stable', 403],
  ['a scanner, known off', { known: false }, 'sqlmap/1.8', 200],
  ['allowed goes before denied', { allow: ['sqlmap/1.8*'] }, 'sqlmap/1.8 (ours)', 200],
  ['plain text anywhere', { deny: ['firefox'] }, browser, 403],
  ['a wildcard is the whole', { deny: ['firefox*'] }, browser, 200],
  ['a wildcard', { deny: ['mozilla*linux*/140.0'] }, browser, 403],
  ['no agent', {}, undefined, 200],
  ['no agent, denied', { empty: 'deny' }, undefined, 403],
  ['a blank agent, denied', { empty: 'deny' }, ' ', 403],
]
for (const [name, options, agent, status] of table) {
  test(`${status} ${name}`, async () => assert.equal((await statusOf(options, agent))[0], status))
}

test('report lets pass and says why', async () => {
  assert.deepEqual(await statusOf({ mode: 'report' }, 'nikto'), [200, 'would be refused: user agent: nikto'])
})

test('every known name is turned away in any case, wherever it stands', async () => {
  for (const name of knownBad) assert.equal((await statusOf({}, `x ${name.toUpperCase()} y`))[0], 403)
})

test('refuses patterns that match everything', () => {
  assert.throws(() => bot.check?.({ ...defaults, deny: ['**'] }), OptionsError)
})

test('wildcards match as the same regular expression does', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '*', '.'), maxLength: 12 })
  fc.assert(
    fc.property(text, text, (pattern, subject) => {
      const source = pattern
        .split('*')
        .map(part => part.replaceAll('.', '\\.'))
        .join('.*')
      const expected = new RegExp(pattern.includes('*') ? `^${source}$` : source, 's').test(subject)
      assert.equal(compileWildcard(pattern)(subject), expected)
    }),
  )
})
