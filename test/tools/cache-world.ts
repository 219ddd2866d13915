// A cache with a service behind it that a test writes as a table: exchanges one after the other, on a clock that stands still.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Body } from '../../src/core/body.ts'
import type { Call } from '../../src/core/call.ts'
import { DeadlineTable } from '../../src/core/deadlines.ts'
import { Headers } from '../../src/core/headers.ts'
import { principal, type Principal } from '../../src/core/principal.ts'
import { Reply } from '../../src/core/reply.ts'
import type { Static } from '../../src/core/schema.ts'
import type { Step } from '../../src/core/step.ts'
import { fakePorts, makeCall, type FakePorts } from './call.ts'
import { cache } from '../../src/policies/cache/cache.ts'

export type Options = Static<typeof cache.options>

export const defaults: Options = {
  methods: ['GET', 'HEAD'],
  statuses: [200, 203, 204, 300, 301, 302, 307, 308, 404, 410],
  ttl: {},
  heuristic: null,
  heuristicMax: 86_400_000,
  staleWhileRevalidate: 0,
  staleIfError: 0,
  bodyMax: 1_000_000,
  variants: 32,
  collapse: 5_000,
  key: { headers: [], cookies: [], consumer: false, query: { only: null, ignore: [], sort: false } },
  bypass: { headers: [], cookies: [], query: [] },
  clientDirectives: 'obey',
  cacheStatus: null,
}

export type Fields = Record<string, string> | readonly (readonly [string, string])[]

/** What the service answers. */
export interface Answered {
  readonly status?: number
  readonly headers?: Fields
  readonly body?: string
}

export interface Exchange {
  readonly method?: string
  readonly target?: string
  readonly host?: string
  readonly headers?: Fields
  readonly body?: string
  readonly who?: Partial<Principal>
  /** Seconds that pass before. */
  readonly after?: number
  /** What the service answers, where it is asked: the answer before where this is not given. */
  readonly service?: Answered
  /** Whether the service is asked, and whether with a condition. */
  readonly expect: 'cached' | 'asked' | 'validated'
  readonly status?: number
  readonly reply?: string
  /** Fields that the reply must have; undefined for none of that name. */
  readonly fields?: Readonly<Record<string, string | undefined>>
  /** Fields with which the service must have been asked. */
  readonly sent?: Readonly<Record<string, string | undefined>>
}

export interface World {
  readonly ports: FakePorts
  readonly step: Step
  readonly calls: Call[]
  /** Calls back what is due. */
  beat(): void
  counted(name: string): number
}

export function makeWorld(
  given: Partial<Options>,
  answer: (call: Call) => Reply | Promise<Reply>,
  replyBytes = 10e6,
): World {
  const calls: Call[] = []
  const counts = new Map<string, number>()
  const deadlines = new DeadlineTable()
  const base = fakePorts({}, { replyBytes })
  const counter = (name: string, labels: Readonly<Record<string, string>>) => ({
    add(amount: number) {
      const key = [name, ...Object.values(labels)].join(' ')
      counts.set(key, (counts.get(key) ?? 0) + amount)
    },
  })
  const ports = { ...base, deadlines, meter: { ...base.meter, counter } }
  const layer = cache.build({ ...defaults, ...given }, ports, { route: 'r', key: 'r/policies/0' })
  const step = layer(async call => {
    calls.push(call)
    return answer(call)
  })
  return { ports, step, calls, beat: () => deadlines.beat(ports.clock.now()), counted: name => counts.get(name) ?? 0 }
}

export function replyOf({ status = 200, headers = {}, body = 'hello' }: Answered): Reply {
  return new Reply(status, Headers.of(headers), status === 304 || status === 204 ? Body.empty : Body.of(body))
}

/** Headers of a reply that is fresh for a minute. */
export const fresh = { 'cache-control': 'max-age=60' } as const

/** As seconds from when the clock of a world begins. */
export const date = (seconds: number): string => new Date(Date.UTC(2026, 0, 1) + 1000 + seconds * 1000).toUTCString()

/** A reply that comes, and is asked for again after some seconds. */
export const again = (service: Answered, expect: Exchange['expect'], after = 10): Exchange[] => [
  { expect: 'asked', service },
  { expect, after },
]

/** A test of one sentence: what is asked of the cache, one after the other. */
export function sentence(title: string, exchanges: readonly Exchange[], options: Partial<Options> = {}): void {
  test(title, async () => {
    let answer: Answered = {}
    const world = makeWorld(options, () => replyOf(answer))
    for (const [index, exchange] of exchanges.entries()) {
      world.ports.advance((exchange.after ?? 0) * 1000)
      if (exchange.service !== undefined) answer = exchange.service
      await exchanged(world, exchange, `exchange ${index + 1}`)
    }
  })
}

async function exchanged(world: World, exchange: Exchange, what: string): Promise<void> {
  const call = makeCall({
    method: exchange.method ?? 'GET',
    target: exchange.target ?? '/',
    host: exchange.host ?? 'api.acme.test',
    headers: [...Headers.of({ 'x-forwarded-proto': 'http' }), ...Headers.of(exchange.headers ?? {})],
    body: exchange.body ?? Body.empty,
  })
  if (exchange.who !== undefined) call.facts.set(principal, personOf(exchange.who))
  const before = world.calls.length
  const reply = await world.step(call)
  const text = (await reply.body.bytes(10e6)).toString()
  const asked = world.calls[before]
  assert.ok(world.calls.length - before < 2, `${what}: the service was asked twice`)
  const isConditional = asked?.headers.has('if-none-match') === true || asked?.headers.has('if-modified-since') === true
  assert.equal(asked === undefined ? 'cached' : isConditional ? 'validated' : 'asked', exchange.expect, what)
  if (exchange.status !== undefined) assert.equal(reply.status, exchange.status, what)
  if (exchange.reply !== undefined) assert.equal(text, exchange.reply, what)
  for (const [name, value] of Object.entries(exchange.fields ?? {}))
    assert.equal(reply.headers.get(name), value, `${what}: ${name}`)
  for (const [name, value] of Object.entries(exchange.sent ?? {}))
    assert.equal(asked?.headers.get(name), value, `${what}: ${name}`)
}

function personOf(given: Partial<Principal>): Principal {
  return {
    method: 'api-key',
    id: 'c1',
    consumer: null,
    application: null,
    credential: 'k1',
    scopes: [],
    claims: {},
    ...given,
  }
}
