import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OptionsError } from '../../core/policy.ts'
import { Reply } from '../../core/reply.ts'
import { fakePorts, makeCall, makeNext } from '../../../test/tools/call.ts'
import { ip } from './ip.ts'

const place = { route: 'r', key: 'r/policies/0' }

async function statusOf(lists: { allow?: string[]; deny?: string[] }, clientAddress: string): Promise<number> {
  const given = { allow: [], deny: [], ...lists }
  ip.check?.(given)
  const next = makeNext(() => Reply.empty(200))
  const answer = await ip.build(given, fakePorts(), place)(next)(makeCall({ clientAddress }))
  assert.equal(next.calls.length, answer.status === 200 ? 1 : 0)
  if (answer.status !== 200) assert.equal(answer.code, 'address-denied')
  return answer.status
}

const office = ['10.0.0.0/8', '2001:db8::/32']

const table: [name: string, lists: { allow?: string[]; deny?: string[] }, address: string, status: number][] = [
  ['allow: a listed address', { allow: office }, '10.1.2.3', 200],
  ['allow: a listed IPv6 address', { allow: office }, '2001:db8::7', 200],
  ['allow: others are denied', { allow: office }, '11.0.0.1', 403],
  ['allow: others are denied, IPv6', { allow: office }, '2001:db9::', 403],
  ['allow: IPv4 only denies all IPv6', { allow: ['0.0.0.0/0'] }, '::1', 403],
  ['allow: an IPv4-mapped address is IPv4', { allow: office }, '::ffff:10.1.2.3', 200],
  ['deny: a listed address', { deny: office }, '10.1.2.3', 403],
  ['deny: an IPv4-mapped address is IPv4', { deny: office }, '::ffff:a01:203', 403],
  ['deny: an entry in IPv4-mapped form is IPv4', { deny: ['::ffff:10.0.0.0/104'] }, '10.1.2.3', 403],
  ['deny: others pass', { deny: office }, '11.0.0.1', 200],
  ['deny: all IPv6 leaves IPv4 alone', { deny: ['::/0'] }, '11.0.0.1', 200],
  ['both: others are denied', { allow: office, deny: ['10.9.0.0/16'] }, '11.0.0.1', 403],
  ['both: a denied part of what is allowed', { allow: office, deny: ['10.9.0.0/16'] }, '10.9.1.1', 403],
  ['both: an allowed part of what is denied', { allow: ['10.9.9.9'], deny: ['10.0.0.0/8'] }, '10.9.9.9', 200],
  ['both: deny wins the tie', { allow: ['10.0.0.0/8'], deny: ['10.0.0.0/8'] }, '10.1.1.1', 403],
  ['no address is denied', { deny: office }, 'unknown', 403],
]

for (const [name, lists, address, status] of table) {
  test(`${status} ${name}`, async () => {
    assert.equal(await statusOf(lists, address), status)
  })
}

test('10,000 entries', async () => {
  const allow = Array.from({ length: 10_000 }, (_, i) => `10.${i >> 8}.${i & 255}.0/24`)
  assert.equal(await statusOf({ allow }, '10.39.15.200'), 200)
  assert.equal(await statusOf({ allow }, '10.39.16.200'), 403)
})

test('refuses lists that say nothing', () => {
  assert.throws(() => ip.check?.({ allow: [], deny: [] }), OptionsError)
})
