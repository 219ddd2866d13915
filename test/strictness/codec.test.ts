// Every case of the tables through the codec: whole, cut at every byte boundary, and byte by byte.

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Message, RequestCase } from './case.ts'
import { singles, splits, type Understood, type UnderstoodReply, understandReply, understandRequests } from './drive.ts'
import { replies } from './replies.ts'
import type { ReplyCase } from './reply-case.ts'
import { requests } from './requests.ts'

/** Cases longer than this are cut at every boundary of their ends, and at every 97th in between. */
const fullyCutBytesMax = 2_500

describe('requests', () => {
  it('are several hundred, each with its own name', () => {
    const names = new Set(requests.map(({ section, name }) => `${section} ${name}`))
    assert.equal(names.size, requests.length)
    assert.ok(requests.length >= 400)
  })

  for (const item of requests.filter(({ by }) => by !== 'edge')) {
    it(`${item.section}: ${item.name}`, () => {
      const whole = understandRequests([item.bytes])
      checkRequests(item, whole)
      for (const pieces of waysToCut(item.bytes)) {
        const cut = understandRequests(pieces)
        if (!isSame(cut, whole)) assert.deepEqual(cut, whole, `cut at ${pieces[0]?.length}`)
      }
    })
  }
})

describe('replies', () => {
  it('are more than a hundred, each with its own name', () => {
    const names = new Set(replies.map(({ section, name }) => `${section} ${name}`))
    assert.equal(names.size, replies.length)
    assert.ok(replies.length >= 120)
  })

  for (const item of replies.filter(({ by }) => by !== 'edge')) {
    it(`${item.section}: ${item.name}`, () => {
      const fin = item.after === 'fin'
      const whole = understandReply([item.bytes], item.method, fin)
      checkReply(item, whole)
      for (const pieces of waysToCut(item.bytes)) {
        const cut = understandReply(pieces, item.method, fin)
        // Bytes behind the end that come later are for the connection to see, not for the codec.
        if (!isSame({ ...cut, isReusable: 0 }, { ...whole, isReusable: 0 })) {
          assert.deepEqual(cut, whole, `cut at ${pieces[0]?.length}`)
        }
      }
    })
  }
})

function checkRequests(item: RequestCase, { messages, ending }: Understood): void {
  const { ending: expected } = item
  assert.deepEqual(messages.map(comparable), item.messages.map(comparable))
  if (expected.is === 'refused' || expected.is === 'denied') {
    assert.equal(ending.is, 'refused')
    if (ending.is !== 'refused') return
    assert.ok(
      expected.statuses.includes(ending.status),
      `status ${ending.status}, not ${expected.statuses.join(' or ')}`,
    )
    assert.equal(ending.inBody, expected.is === 'refused' && expected.inBody, 'refused in the body')
  } else assert.deepEqual(ending, expected)
}

/** Bodies as text: a difference can be read. */
function comparable(message: Message) {
  return { ...message, body: message.body.toString('latin1') }
}

function checkReply(item: ReplyCase, got: UnderstoodReply): void {
  const { outcome } = item
  assert.equal(got.is, outcome.is)
  if (outcome.is === 'incomplete') assert.equal(got.inBody, outcome.inBody)
  if (outcome.is === 'refused' || outcome.is === 'cut') assert.equal(got.isReusable && got.is === 'whole', false)
  if (outcome.is !== 'whole') return
  assert.equal(got.status, outcome.status)
  if (outcome.reason !== null) assert.equal(got.reason, outcome.reason)
  assert.deepEqual(got.headers, outcome.headers)
  assert.equal(got.body.toString('latin1'), outcome.body.toString('latin1'))
  assert.deepEqual(got.trailers, outcome.trailers)
  assert.deepEqual(got.interim, outcome.interim)
  if (item.isReusable) assert.equal(got.isReusable, true)
}

function* waysToCut(bytes: Buffer): Generator<Buffer[]> {
  for (const pieces of splits(bytes)) {
    const at = pieces[0].length
    const isNearAnEnd = at < 200 || bytes.length - at < 200 || (at > 31_900 && at < 32_100)
    if (bytes.length <= fullyCutBytesMax || isNearAnEnd || at % 97 === 0) yield pieces
  }
  yield singles(bytes)
}

function isSame(one: object, other: object): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}
