import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { authority, certify } from '../../examples/tls/certificate.ts'
import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import type { Log } from '../core/ports.ts'
import { IssueFailed } from './issuer.ts'
import { CertificateKeeper, type KeeperTimes } from './keeper.ts'
import type { Pair } from './pair.ts'

const dayMs = 86_400_000
const startMs = Date.UTC(2026, 0, 1)
const ca = authority('ca')
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const key = privateKey.export({ type: 'pkcs8', format: 'pem' })
const publicKey = createPublicKey(privateKey).export({ type: 'spki', format: 'pem' })

function pairFor(name: string, fromMs: number, days = 90): Pair {
  return { key, cert: certify(ca, publicKey, [name], new Date(fromMs), new Date(fromMs + days * dayMs)) }
}

const noCertificate = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'

function spoilt(certOf: (pair: Pair) => string): Pair {
  const pair = pairFor('a.test', startMs)
  return { key: pair.key, cert: certOf(pair) }
}

const count = (name: string, labels: object) => `${name} ${Object.values(labels).join(' ')}`

/** Time that is moved by hand, a server that does what it is told, and all that was said. */
class World {
  nowMs = startMs
  readonly asked: string[] = []
  readonly lines: string[] = []
  readonly counts = new Map<string, number>()
  readonly stored = new Map<string, Pair>()
  changes = 0
  /** So many of the next changes are not taken over. */
  refusals = 0
  random = 0
  answer: (name: string) => Pair | Error = name => pairFor(name, this.nowMs)
  #timer: { readonly atMs: number; readonly callback: () => void } | null = null

  keeper(times: Partial<KeeperTimes> = {}): CertificateKeeper {
    const say = (level: string) => (_: object, text: string) => this.lines.push(`${level} ${text}`)
    const log: Log = { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') }
    return new CertificateKeeper(
      { renewBeforeMs: null, retryMs: 60_000, ...times },
      {
        clock: { now: () => this.nowMs, wall: () => this.nowMs },
        random: () => this.random,
        log,
        meter: {
          counter: (name, labels) => ({
            add: amount => this.counts.set(count(name, labels), (this.counts.get(count(name, labels)) ?? 0) + amount),
          }),
          gauge: (name, labels) => ({ set: value => this.counts.set(count(name, labels), value) }),
          histogram: () => ({ record: () => {} }),
        },
        vault: {
          account: () => null,
          keepAccount: () => {},
          pair: name => this.stored.get(name) ?? null,
          keepPair: (name, pair) => this.stored.set(name, pair),
        },
        issue: async name => {
          this.asked.push(`${name} ${((this.nowMs - startMs) / dayMs).toFixed(2)}`)
          const answer = this.answer(name)
          if (answer instanceof Error) throw answer
          return answer
        },
        changed: async () => {
          this.changes++
          if (this.refusals-- > 0) throw new Error('a worker says no')
        },
        startTimer: (ms, callback) => {
          const timer = { atMs: this.nowMs + ms, callback }
          this.#timer = timer
          return () => {
            if (this.#timer === timer) this.#timer = null
          }
        },
      },
    )
  }

  async pass(ms: number): Promise<void> {
    const untilMs = this.nowMs + ms
    for (;;) {
      await settle()
      const timer = this.#timer
      if (timer === null || timer.atMs > untilMs) break
      this.#timer = null
      this.nowMs = Math.max(this.nowMs, timer.atMs)
      timer.callback()
    }
    this.nowMs = untilMs
  }

  get hasTimer(): boolean {
    return this.#timer !== null
  }
}

function settle(): Promise<void> {
  return new Promise(resolve => setImmediate(() => setImmediate(resolve)))
}

describe('the keeper of certificates', () => {
  test('asks for what is missing, keeps it, and tells', async () => {
    const world = new World()
    const keeper = world.keeper()
    assert.equal(keeper.pair('a.test'), null)
    assert.equal(keeper.status.length, 0)
    keeper.want(['a.test', 'b.test'])
    assert.equal(keeper.status[0]?.state, 'waiting')
    await world.pass(1)
    assert.deepEqual(world.asked, ['a.test 0.00', 'b.test 0.00'])
    assert.equal(world.changes, 2)
    assert.deepEqual(keeper.pair('b.test'), world.stored.get('b.test'))
    assert.deepEqual(keeper.status[1], {
      ...{ name: 'b.test', state: 'issued', failures: 0, lastError: '' },
      ...{ notAfter: '2026-04-01T00:00:00.000Z', nextAttempt: '2026-03-02T00:00:00.000Z' },
    })
    assert.equal(world.counts.get('turnpike_acme_orders a.test issued'), 1)
    const expiry = world.counts.get('turnpike_acme_certificate_expiry_timestamp_seconds a.test')
    assert.equal(expiry, startMs / 1000 + 90 * 86_400)
  })

  test('takes what is stored, and renews it when a third of its life is left', async () => {
    const world = new World()
    world.stored.set('a.test', pairFor('a.test', startMs - 10 * dayMs))
    const keeper = world.keeper()
    assert.deepEqual(keeper.pair('a.test'), world.stored.get('a.test'))
    keeper.want(['a.test'])
    await world.pass(49 * dayMs)
    assert.deepEqual(world.asked, [])
    await world.pass(2 * dayMs)
    assert.deepEqual(world.asked, ['a.test 50.00'])
  })

  for (const [what, random, times, day] of [
    ['up to a tenth of the rest earlier, by chance', 1, {}, '57.00'],
    ['by the config', 0, { renewBeforeMs: 10 * dayMs }, '80.00'],
    ['never for more than half of its life', 0, { renewBeforeMs: 89 * dayMs }, '45.00'],
  ] as const) {
    test(`renews ${what}`, async () => {
      const world = new World()
      world.random = random
      world.keeper(times).want(['a.test'])
      await world.pass(81 * dayMs)
      assert.deepEqual(world.asked.slice(0, 2), ['a.test 0.00', `a.test ${day}`])
    })
  }

  test('waits twice as long after each failure, up to six hours, and says why', async () => {
    const world = new World()
    world.random = 0.5
    world.answer = () => new IssueFailed('the server is closed', 0)
    const keeper = world.keeper()
    keeper.want(['a.test'])
    const gaps: number[] = []
    let lastMs = startMs
    while (gaps.length < 12) {
      const before = world.asked.length
      while (world.asked.length === before) await world.pass(20_000)
      gaps.push(Math.round((world.nowMs - lastMs) / 60_000))
      lastMs = world.nowMs
    }
    assert.deepEqual(gaps, [1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360, 360])
    const [status] = keeper.status
    assert.deepEqual([status?.state, status?.lastError, status?.notAfter], ['failing', 'the server is closed', null])
    assert.equal(world.counts.get('turnpike_acme_orders a.test failed'), status?.failures)
    assert.match(world.lines[0] ?? '', /^warn acme: no certificate for a\.test \(it has none\): the server is closed$/)
  })

  test('leaves the server alone for as long as it asks', async () => {
    const world = new World()
    world.answer = () => new IssueFailed('too many', 3_600_000)
    world.keeper().want(['a.test'])
    await world.pass(3_599_000)
    assert.equal(world.asked.length, 1)
    await world.pass(2_000)
    assert.equal(world.asked.length, 2)
  })

  test('serves the old one while a renewal fails, and counts failures from the start behind a success', async () => {
    const world = new World()
    const keeper = world.keeper()
    keeper.want(['a.test'])
    await world.pass(1)
    const first = keeper.pair('a.test')
    world.answer = () => new Error('down')
    await world.pass(61 * dayMs)
    assert.deepEqual(keeper.pair('a.test'), first)
    assert.equal(keeper.status[0]?.state, 'failing')
    assert.match(world.lines.at(-1) ?? '', /\(it has one until 2026-04-01T00:00:00\.000Z\): down/)
    world.answer = name => pairFor(name, world.nowMs)
    await world.pass(dayMs)
    assert.equal(keeper.status[0]?.state, 'issued')
    assert.notDeepEqual(keeper.pair('a.test'), first)
  })

  test('one name that fails keeps no other from its certificate', async () => {
    const world = new World()
    world.answer = name => (name === 'a.test' ? new Error('no') : pairFor(name, world.nowMs))
    const keeper = world.keeper()
    keeper.want(['a.test', 'b.test'])
    await world.pass(1)
    assert.deepEqual(
      keeper.status.map(({ state }) => state),
      ['failing', 'issued'],
    )
  })

  for (const [what, pair] of [
    ['of another name', pairFor('other.test', startMs)],
    ['that cannot be read', { key: 'none', cert: 'none' }],
    ['with a chain that is none', spoilt(pair => `${pair.cert}${noCertificate}`)],
    ['with a chain that no client takes', spoilt(pair => pair.cert + ca.cert.repeat(200))],
  ] as const) {
    test(`what is stored ${what} is not served, and another is asked for`, async () => {
      const world = new World()
      world.stored.set('a.test', pair)
      const keeper = world.keeper()
      assert.equal(keeper.pair('a.test'), null)
      keeper.want(['a.test'])
      await world.pass(1)
      assert.deepEqual(world.asked, ['a.test 0.00'])
      assert.match(world.lines[0] ?? '', /^warn acme: what is kept for a\.test is of no use/)
    })
  }

  test('a server that gives certificates of no life is not asked in a circle', async () => {
    const world = new World()
    world.answer = name => pairFor(name, world.nowMs, 1 / 86_400)
    world.keeper().want(['a.test'])
    await world.pass(59_000)
    assert.equal(world.asked.length, 1)
    await world.pass(2_000)
    assert.equal(world.asked.length, 2)
  })

  test('a new pair that could not be put in force is put in force later, and the server is not asked again', async () => {
    const world = new World()
    world.random = 0.5
    world.refusals = 2
    const keeper = world.keeper()
    keeper.want(['a.test'])
    await world.pass(1)
    assert.equal(world.changes, 1)
    assert.match(keeper.status[0]?.lastError ?? '', /could not be put in force: a worker says no/)
    await world.pass(58_000)
    assert.equal(world.changes, 1)
    await world.pass(3_000)
    assert.equal(world.changes, 2)
    await world.pass(121_000)
    assert.equal(world.changes, 3)
    assert.deepEqual([keeper.status[0]?.state, keeper.status[0]?.lastError], ['issued', ''])
    await world.pass(dayMs)
    assert.equal(world.changes, 3)
    assert.deepEqual(world.asked, ['a.test 0.00'])
  })

  for (const [what, fromMs] of [
    ['ended', startMs - 100 * dayMs],
    ['begins in a year', startMs + 400 * dayMs],
  ] as const) {
    test(`a certificate that ${what} does not take the place of a good one`, async () => {
      const world = new World()
      const keeper = world.keeper()
      keeper.want(['a.test'])
      await world.pass(1)
      const first = keeper.pair('a.test')
      world.answer = name => pairFor(name, fromMs)
      await world.pass(61 * dayMs)
      assert.deepEqual(keeper.pair('a.test'), first)
      assert.match(keeper.status[0]?.lastError ?? '', /^the certificate (ended|begins) 202/)
    })
  }

  test('names come and go: one that stays is not asked for again, one that goes is forgotten', async () => {
    const world = new World()
    const keeper = world.keeper()
    keeper.want(['a.test', 'b.test'])
    await world.pass(1)
    keeper.want(['a.test', 'c.test'])
    await world.pass(1)
    assert.deepEqual(world.asked, ['a.test 0.00', 'b.test 0.00', 'c.test 0.00'])
    assert.deepEqual(
      keeper.status.map(({ name }) => name),
      ['a.test', 'c.test'],
    )
    assert.equal(world.counts.get('turnpike_acme_certificate_expiry_timestamp_seconds b.test'), 0)
    assert.ok((world.counts.get('turnpike_acme_certificate_expiry_timestamp_seconds a.test') ?? 0) > 0)
  })

  test('a name that comes while another is asked for waits its turn', async () => {
    const world = new World()
    const keeper = world.keeper()
    keeper.want(['a.test'])
    keeper.want(['a.test', 'b.test'])
    await world.pass(1)
    assert.deepEqual(world.asked, ['a.test 0.00', 'b.test 0.00'])
  })

  test('a name that is only looked at is not asked for', async () => {
    const world = new World()
    const keeper = world.keeper()
    keeper.want(['a.test'])
    assert.equal(keeper.pair('refused.test'), null)
    await world.pass(100 * dayMs)
    assert.ok(world.asked.every(line => line.startsWith('a.test ')))
  })

  test('does nothing once it is closed, also with what was under way', async () => {
    const world = new World()
    const keeper = world.keeper()
    keeper.want(['a.test'])
    keeper.close()
    await world.pass(100 * dayMs)
    assert.equal(world.changes, 0)
    assert.equal(world.hasTimer, false)
    assert.equal(world.stored.size, 0)
  })
})
