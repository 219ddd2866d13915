// Whatever our codec accepts means the same to Node's own parser: the tables and damaged messages, both ways.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import * as fc from 'fast-check'
import { forwardingKeys } from '../../src/http/names.ts'
import type { Message, Pairs } from './case.ts'
import { singles, type Understood, understandReply, understandRequests } from './drive.ts'
import { damagedReply, damagedRequests } from './mutations.ts'
import { NodeClient, type NodeMessage, type NodeReply, NodeServer, type NodeVerdict } from './oracle.ts'
import { replies } from './replies.ts'
import { requests } from './requests.ts'

const runs = Number(process.env['FUZZ_RUNS'] ?? 3000)

describe('requests that the codec accepts', () => {
  let judge: NodeServer
  before(async () => {
    judge = await NodeServer.open()
  })
  after(() => judge.close())

  it('mean the same to node:http, in the tables', async () => {
    for (const { bytes, name } of requests) {
      const ours = understandRequests([bytes], false)
      if (ours.messages.length > 0) compareRequests(ours, await judge.judge(bytes), name)
    }
  })

  it('mean the same to node:http, damaged', async () => {
    let compared = 0
    await fc.assert(
      fc.asyncProperty(damagedRequests, async bytes => {
        const ours = understandRequests([bytes], false)
        if (ours.messages.length === 0) return
        compared++
        compareRequests(ours, await judge.judge(bytes), '')
      }),
      { numRuns: runs },
    )
    assert.ok(compared > runs / 10, `only ${compared} were accepted`)
  })

  it('are understood alike however they are cut', () => {
    fc.assert(
      fc.property(damagedRequests, fc.array(fc.nat(400), { maxLength: 5 }), (bytes, places) => {
        const whole = understandRequests([bytes])
        assert.deepEqual(understandRequests(piecesOf(bytes, places)), whole)
        assert.deepEqual(understandRequests(singles(bytes)), whole)
      }),
      { numRuns: runs },
    )
  })
})

describe('replies that the codec accepts', () => {
  let judge: NodeClient
  before(async () => {
    judge = await NodeClient.open()
  })
  after(() => judge.close())

  it('mean the same to node:http, in the tables', async () => {
    for (const { bytes, method, name } of replies) {
      const ours = understandReply([bytes], method, true)
      if (ours.is === 'whole' && ours.rest === 0) compareReplies(ours, await judge.judge(bytes, method), name)
    }
  })

  it('mean the same to node:http, damaged', async () => {
    let compared = 0
    await fc.assert(
      fc.asyncProperty(damagedReply, fc.constantFrom('GET', 'HEAD'), async (bytes, method) => {
        const ours = understandReply([bytes], method, true)
        // Node fails the reply for what stands behind it; we fail the connection.
        if (ours.is !== 'whole' || ours.rest > 0) return
        compared++
        compareReplies(ours, await judge.judge(bytes, method), '')
      }),
      { numRuns: runs },
    )
    assert.ok(compared > runs / 10, `only ${compared} were accepted`)
  })

  it('are understood alike however they are cut', () => {
    fc.assert(
      fc.property(damagedReply, fc.array(fc.nat(400), { maxLength: 5 }), (bytes, places) => {
        const { isReusable: _, ...whole } = understandReply([bytes], 'GET', true)
        const { isReusable: __, ...cut } = understandReply(piecesOf(bytes, places), 'GET', true)
        assert.deepEqual(cut, whole)
      }),
      { numRuns: runs },
    )
  })
})

/**
 * Node may be stricter about what methods there are and about white space behind `chunked`; nothing else that we accept may be
 * an error to it.
 */
function compareRequests(ours: Understood, theirs: NodeVerdict, name: string): void {
  const isStricter = theirs.error === 'HPE_INVALID_METHOD' || theirs.error === 'HPE_INVALID_TRANSFER_ENCODING'
  ours.messages.forEach((message, n) => {
    const other = theirs.messages[n]
    if (other === undefined && isStricter) return
    assert.ok(other !== undefined, `${name}: node:http got ${theirs.messages.length} messages, ${theirs.error}`)
    assert.deepEqual(comparable(other, message), ownComparable(message), name)
  })
  if (ours.ending.is !== 'refused')
    assert.ok(theirs.messages.length <= ours.messages.length, `${name}: node:http got more messages`)
}

function ownComparable({ method, target, headers, body }: Message) {
  return { method, target, headers, body: body.toString('latin1') }
}

/** Node's message as we would hand it on: origin-form, without what belongs to one hop. */
function comparable({ method, target, headers, body }: NodeMessage, ours: Message) {
  const host = headers.find(([name]) => name.toLowerCase() === 'host')?.[1] ?? null
  const absolute = /^https?:\/\/([^/?]+)(.*)$/i.exec(target)
  assert.equal(ours.host, absolute?.[1] ?? host)
  const rest = absolute?.[2]
  const path = rest === undefined ? target : rest.startsWith('/') ? rest : `/${rest}`
  return { method, target: path, headers: endToEnd(headers), body }
}

const hopByHop = new Set([
  ...[
    'host',
    'content-length',
    'transfer-encoding',
    'connection',
    'keep-alive',
    'proxy-connection',
    'te',
    'trailer',
    'upgrade',
    'expect',
  ],
  ...forwardingKeys.map(key => key.replaceAll('-', '_')).filter(key => key.includes('_')),
])

function endToEnd(headers: Pairs): Pairs {
  const options = headers
    .filter(([name]) => name.toLowerCase() === 'connection')
    .flatMap(([, value]) => value.split(',').map(option => option.trim().toLowerCase()))
  const named = new Set(options)
  return headers.filter(([name]) => {
    const key = name.toLowerCase()
    const isDisguised =
      key.includes('_') && [...forwardingKeys, 'keep-alive', 'proxy-connection'].includes(key.replaceAll('_', '-'))
    return !hopByHop.has(key) && !named.has(key) && !isDisguised
  })
}

function compareReplies(ours: ReturnType<typeof understandReply>, theirs: NodeReply | null, name: string): void {
  assert.ok(theirs !== null, `${name}: node:http does not take it for a whole reply`)
  assert.equal(ours.status, theirs.status, name)
  assert.equal(ours.reason.trim(), theirs.reason.trim(), name)
  const headers = ours.headers.filter(([key]) => key.toLowerCase() !== 'host')
  assert.deepEqual(headers, endToEnd(theirs.headers), name)
  assert.equal(ours.body.toString('latin1'), theirs.body, name)
}

function piecesOf(bytes: Buffer, places: readonly number[]): Buffer[] {
  const cuts = [0, ...places.map(place => Math.min(place, bytes.length)), bytes.length].toSorted((a, b) => a - b)
  return cuts.slice(1).map((end, n) => bytes.subarray(cuts[n], end))
}
