// Every case of the tables through a real gateway: what the client gets, what the upstream receives, and nothing left behind.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import * as fc from 'fast-check'
import { until } from '../tools/until.ts'
import type { Message, Pairs, RequestCase } from './case.ts'
import { understandReply, understandRequests } from './drive.ts'
import { damagedRequests } from './mutations.ts'
import { replies } from './replies.ts'
import type { ReplyCase } from './reply-case.ts'
import { requests } from './requests.ts'
import { inParallel, loopbackAddress, type Saw, talk } from './wire/client.ts'
import { startGateway, type TestGateway } from './wire/gateway.ts'
import { fieldOf, statusOf, type WireMessage } from './wire/parse.ts'
import { type Received, Recorder, Scripted } from './wire/upstream.ts'

interface Run<T> {
  readonly item: T
  /** Where the bytes are cut; 0: whole. */
  readonly cut: number
}

// What these tables say holds for HTTP/1; with HTTP/2 switched on, its preface is answered in its own words.
const listener = { name: 'front', host: '127.0.0.1', port: 0, http2: { enabled: false } }
const quiet = { workers: 1, admin: { port: 0 }, telemetry: { trace: 'off', requestId: false } }
let clients = 0

describe('requests through a gateway', { concurrency: false }, () => {
  let gateway: TestGateway
  let recorder: Recorder
  before(async () => {
    const opened = await Recorder.open()
    recorder = opened.recorder
    gateway = await startGateway({
      ...quiet,
      listeners: [listener],
      upstreams: { recorder: { targets: [`http://127.0.0.1:${opened.port}`] } },
      routes: [{ match: {}, forward: 'recorder' }],
    })
  })
  after(async () => {
    await gateway.close()
    recorder.raw.close()
  })

  const check = (runs: readonly Run<RequestCase>[], width: number) =>
    runAll(runs, width, async ({ item, cut }) => {
      const from = loopbackAddress(clients++)
      const saw = await sendCase(gateway.port, from, item, cut)
      // A call that was given up reaches the upstream's end of the connection a moment later.
      if (item.ending.is === 'incomplete' || (item.ending.is === 'refused' && item.ending.inBody)) {
        await new Promise(resolve => setTimeout(resolve, 30))
      }
      return requestComplaint(item, saw, recorder.take(from))
    })

  it('whole', async () => await check(wholeOf(requests), 32))
  it('cut at every byte boundary', async () => await check(cutsOf(requests), 96))
  it('damaged at random: the upstream receives what the codec alone understands', async () => {
    const seed = Date.now() % 1_000_000
    const damaged = fc
      .sample(damagedRequests, { numRuns: 3_000, seed })
      .filter(bytes => !/https|OPTIONS \*/i.test(bytes.toString('latin1')))
    await check(wholeOf(damaged.map((bytes, n) => asUnderstood(bytes, `seed ${seed}, number ${n}`))), 64)
  })
  it('reach the upstream well-formed', () => assert.deepEqual(recorder.raw.problems, []))
  it('leave no connection and no call behind', async () => {
    await until(
      async () => (await gateway.metric(/^turnpike_downstream_connections_opened/)) === clients,
      () => `${clients} connections to be counted`,
    )
    await untilQuiet(gateway)
    assert.equal(recorder.take('nobody').messages.length, 0)
    assert.deepEqual(gateway.logged, [])
  })
})

describe('replies through a gateway', { concurrency: false }, () => {
  let gateway: TestGateway
  const scripted = new Scripted(replies)
  before(async () => {
    const url = `http://127.0.0.1:${await scripted.raw.listen()}`
    gateway = await startGateway({
      ...quiet,
      listeners: [listener],
      upstreams: {
        patient: { targets: [url] },
        hasty: { targets: [url], timeouts: { response: '200ms', idle: '200ms' } },
      },
      routes: [
        { match: { path: '/hasty/**' }, forward: 'hasty' },
        { match: { path: '/patient/**' }, forward: 'patient' },
      ],
    })
  })
  after(async () => {
    await gateway.close()
    scripted.close()
  })

  const check = (runs: readonly Run<ReplyCase>[], width: number) =>
    runAll(runs, width, async ({ item, cut }) => {
      const upstream = item.outcome.is === 'incomplete' ? 'hasty' : 'patient'
      const target = `/${upstream}/${replies.indexOf(item)}/${cut}`
      const bytes = Buffer.from(`${item.method} ${target} HTTP/1.1\r\nHost: a.test\r\nTE: trailers\r\n\r\n`)
      const from = loopbackAddress(clients++)
      const saw = await talk({
        port: gateway.port,
        from,
        pieces: [bytes],
        methods: [item.method],
        replies: 1,
        listenMs: 0,
      })
      return replyComplaint(item, saw)
    })

  it('whole', async () => await check(wholeOf(replies), 16))
  it('cut at every byte boundary', async () => await check(cutsOf(replies).filter(isTellable), 96))
  it('leave only connections that are fit for reuse', async () => {
    await untilQuiet(gateway)
    assert.deepEqual(scripted.raw.problems, [])
    assert.ok(scripted.reused > replies.length / 10, `${scripted.reused} reused`)
  })
  it('leave no connection and no call behind', async () => {
    await untilQuiet(gateway)
    let left: number[] = []
    await until(
      async () => {
        left = [
          await gateway.metric(/^turnpike_upstream_connections\{.*hasty/),
          await gateway.metric(/^turnpike_upstream_connections\{.*patient.*state="(active|idle)"/),
        ]
        return left[0] === 0 && left[1] === scripted.raw.sockets.size
      },
      () => `the open connections of the upstream to be those that are counted, of ${left.join(' and ')}`,
    )
    assert.deepEqual(gateway.logged, [])
  })
})

/** The case that these bytes make, by the codec that the tables and Node's parser vouch for. */
function asUnderstood(bytes: Buffer, name: string): RequestCase {
  const { messages, ending } = understandRequests([bytes])
  const full = ending.is === 'refused' ? { ...ending, statuses: [ending.status] } : ending
  return {
    name: `${name}: ${JSON.stringify(bytes.toString('latin1'))}`,
    section: 'fuzz',
    bytes,
    messages,
    ending: full,
    by: 'edge',
  }
}

function sendCase(port: number, from: string, { bytes, messages, ending }: RequestCase, cut: number): Promise<Saw> {
  const pieces = cut === 0 ? [bytes] : [bytes.subarray(0, cut), bytes.subarray(cut)]
  const staysOpen = ending.is === 'open' || ending.is === 'incomplete'
  const replyCount = ending.is === 'denied' ? 1 : staysOpen ? messages.length : Infinity
  const listenMs = ending.is === 'incomplete' ? 15 : ending.is === 'open' && cut === 0 ? 15 : 0
  return talk({ port, from, pieces, methods: messages.map(({ method }) => method), replies: replyCount, listenMs })
}

/** What is wrong with what happened, empty where nothing is. */
function requestComplaint(item: RequestCase, saw: Saw, received: Received): string {
  const { messages, ending } = item
  const statuses = saw.replies.map(statusOf)
  if (saw.isLate) return `timed out with ${statuses.join()}`
  if (saw.problem !== '') return `client: ${saw.problem}`
  if (saw.rest.length > 0) return `the client got half a reply: ${JSON.stringify(saw.rest.toString('latin1'))}`
  const isRefused = ending.is === 'refused' || ending.is === 'denied'
  if (statuses.length !== messages.length + (isRefused ? 1 : 0)) return `the client got replies ${statuses.join()}`
  const answered = isRefused ? statuses.slice(0, -1) : statuses
  if (answered.some(status => status !== 200)) return `the client got replies ${statuses.join()}`
  if (isRefused && !ending.statuses.includes(statuses.at(-1) ?? 0))
    return `refused with ${statuses.at(-1)}, not ${ending.statuses.join()}`
  const mustClose = ending.is === 'refused' || ending.is === 'closed'
  if (ending.is !== 'denied' && saw.isClosed !== mustClose) return mustClose ? 'not closed' : 'closed'
  const last = saw.replies.at(-1)
  if (mustClose && last !== undefined && fieldOf(last, 'connection') !== 'close')
    return 'the last reply does not say close'
  return upstreamComplaint(item, received)
}

function upstreamComplaint({ messages, ending, absent = [] }: RequestCase, received: Received): string {
  const got = received.messages.map(comparable)
  const wanted = messages.map(({ body, ...rest }) => ({ ...rest, body: body.toString('latin1') }))
  const pairs = got.map((message, n) => (wanted[n]?.host === null ? { ...message, host: null } : message))
  if (JSON.stringify(pairs) !== JSON.stringify(wanted)) return `the upstream received ${JSON.stringify(pairs)}`
  const mayBeUnfinished = (ending.is === 'refused' || ending.is === 'incomplete') && ending.inBody
  if (received.unfinished > (mayBeUnfinished ? 1 : 0)) return 'the upstream received half a message'
  const leaked = absent.find(text => received.messages.some(({ raw }) => raw.includes(text, 0, 'latin1')))
  return leaked === undefined ? '' : `the upstream received ${JSON.stringify(leaked)}`
}

const setByGateway = new Set([
  ...['host', 'content-length', 'transfer-encoding', 'connection', 'te', 'expect', 'via'],
  ...['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'date'],
])

function endToEnd(headers: Pairs): Pairs {
  return headers.filter(([name]) => !setByGateway.has(name.toLowerCase()))
}

function comparable(message: WireMessage): Omit<Message, 'body'> & { body: string } {
  const [method = '', target = ''] = message.startLine.split(' ')
  return {
    method,
    target,
    host: fieldOf(message, 'host') ?? null,
    headers: endToEnd(message.headers),
    trailers: message.trailers,
    body: message.body.toString('latin1'),
  }
}

function replyComplaint({ outcome }: ReplyCase, saw: Saw): string {
  const [reply] = saw.replies
  if (saw.isLate) return 'timed out'
  if (saw.problem !== '' && outcome.is !== 'cut' && outcome.is !== 'incomplete') return `client: ${saw.problem}`
  const isOwn = reply !== undefined && fieldOf(reply, 'content-type') === 'application/problem+json'
  const status = reply === undefined ? 0 : statusOf(reply)
  if (outcome.is === 'refused') return isOwn && status === 502 ? '' : `the client got ${describeReply(saw)}`
  if (outcome.is === 'cut')
    return reply === undefined || (isOwn && status === 502) ? '' : `the client got ${describeReply(saw)}`
  if (outcome.is === 'incomplete') {
    const isFair = outcome.inBody ? reply === undefined : isOwn && status === 504
    return isFair ? '' : `the client got ${describeReply(saw)}`
  }
  if (reply === undefined) return `the client got no whole reply but ${describeReply(saw)}`
  const got = {
    status,
    reason: outcome.reason === null ? null : reply.startLine.slice(13),
    headers: endToEnd(reply.headers),
    body: reply.body.toString('latin1'),
    interim: saw.interim,
    trailers: reply.trailers,
  }
  const { is: _, body, ...rest } = outcome
  const wanted = { ...rest, body: body.toString('latin1') }
  for (const key of Object.keys(got) as (keyof typeof got)[]) {
    if (JSON.stringify(got[key]) !== JSON.stringify(wanted[key]))
      return `${key}: the client got ${JSON.stringify(got[key])}`
  }
  return saw.rest.length === 0 ? '' : `bytes behind the reply: ${JSON.stringify(saw.rest.toString('latin1'))}`
}

function describeReply(saw: Saw): string {
  return JSON.stringify([
    ...saw.replies.map(({ raw }) => raw.toString('latin1', 0, 200)),
    saw.rest.toString('latin1', 0, 200),
  ])
}

/** Unasked bytes that come after a clean end are the answer to the next call, as far as HTTP/1.1 can tell. */
function isTellable({ item, cut }: Run<ReplyCase>): boolean {
  const seen = understandReply([item.bytes.subarray(0, cut)], item.method, false)
  return !(item.after === 'open' && seen.is === 'whole' && seen.rest === 0)
}

function wholeOf<T>(items: readonly T[]): Run<T>[] {
  return items.map(item => ({ item, cut: 0 }))
}

function cutsOf<T extends { bytes: Buffer; cuts?: readonly number[] }>(items: readonly T[]): Run<T>[] {
  return items.flatMap(item => {
    const cuts = item.cuts ?? Array.from({ length: Math.max(0, item.bytes.length - 1) }, (_, n) => n + 1)
    return cuts.filter(cut => cut < item.bytes.length).map(cut => ({ item, cut }))
  })
}

/** Fails with the first complaints where there are any. */
async function runAll<T extends { name: string; section: string }>(
  runs: readonly Run<T>[],
  width: number,
  complaintOf: (run: Run<T>) => Promise<string>,
): Promise<void> {
  const complaints: string[] = []
  await inParallel(runs, width, async run => {
    const complaint = await complaintOf(run)
    if (complaint !== '')
      complaints.push(`${run.item.section}: ${run.item.name}${run.cut > 0 ? `, cut at ${run.cut}` : ''}: ${complaint}`)
  })
  assert.equal(complaints.length, 0, `${complaints.length} of ${runs.length}\n${complaints.slice(0, 40).join('\n')}`)
}

/** No call and no connection of a client is left. */
async function untilQuiet(gateway: TestGateway): Promise<void> {
  let left: number[] = []
  await until(
    async () => {
      left = [
        await gateway.metric(/^turnpike_downstream_connections\{/),
        await gateway.metric(/^http_server_active_requests\{/),
      ]
      return left.every(count => count === 0)
    },
    () => `connections and calls to be over; ${left.join(' and ')} are left`,
  )
}
