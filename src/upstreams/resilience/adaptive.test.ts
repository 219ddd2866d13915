import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Call } from '../../core/call.ts'
import { Failure } from '../../core/failure.ts'
import type { SharedCounter } from '../../core/ports.ts'
import { type Priority, priority } from '../../core/priority.ts'
import { Reply } from '../../core/reply.ts'
import type { Step } from '../../core/step.ts'
import { createAdaptive } from './adaptive.ts'
import type { AdaptiveRules } from './adaptive-limit.ts'
import { createGuard } from './guard.ts'
import { createCall, FakePorts, FakeRow, failure, guarded } from '../fakes.ts'

/** Numbers from 0 to 1 that repeat from run to run. */
function numbers(): () => number {
  let state = 1
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

const plain: AdaptiveRules = { min: 4, max: 1000, tolerance: 0.25, measure: 60_000 }

/** Counts exactly, as the counters that workers share. */
function createShared() {
  let count = 0
  const counter: SharedCounter = {
    tryTake: limit => count < limit && ++count > 0,
    give: () => void count--,
    taken: () => count,
  }
  return { counter: () => counter, taken: () => count }
}

/**
 * An upstream that serves `slots` calls at once in `serviceMs` each and lets others wait in line, under a load of so many calls
 * at once that each come back as soon as they have their answer.
 */
class Simulation {
  readonly ports = new FakePorts()
  readonly shared = createShared()
  readonly adaptive
  readonly row: FakeRow
  slots: number
  serviceMs: number
  answered = 0
  shed = 0
  latencies: number[] = []
  readonly #line: (() => void)[] = []
  #busy = 0

  constructor(rules: Partial<AdaptiveRules>, slots: number, serviceMs: number) {
    this.slots = slots
    this.serviceMs = serviceMs
    this.row = new FakeRow(this.ports.time)
    const ports = { shared: this.shared, meter: this.ports.meter, random: numbers() }
    this.adaptive = createAdaptive({
      name: 'catalog',
      rules: { ...plain, ...rules },
      row: this.row,
      ports,
    })
  }

  /** Sends calls by this step, within the limit. */
  limited(step: Step): Step {
    const { adaptive, row } = this
    const guard = createGuard({ breaker: null, adaptive, hedge: null, patienceMs: 1000, now: () => row.now() })
    return guarded(guard, step, this.ports)
  }

  get limit(): number {
    return this.row.numbers[3] ?? 0
  }

  readonly serve = (): Promise<Reply> =>
    new Promise(resolve => {
      this.#line.push(() => resolve(Reply.empty(200)))
      this.#start()
    })

  /** Keeps `clients` calls under way for so long. */
  async run(clients: number, ms: number, rank: Priority = 'normal'): Promise<void> {
    const step = this.limited(this.serve)
    const untilMs = this.ports.time.nowMs + ms
    const client = async (): Promise<void> => {
      while (this.ports.time.nowMs < untilMs) {
        const call = createCall()
        if (rank !== 'normal') call.facts.set(priority, rank)
        const startedMs = this.ports.time.nowMs
        const { status } = await step(call)
        if (status === 200) {
          this.answered++
          this.latencies.push(this.ports.time.nowMs - startedMs)
        } else {
          this.shed++
          await this.sleep(10)
        }
      }
    }
    const all = Array.from({ length: clients }, client)
    while (this.ports.time.nowMs < untilMs) await this.ports.time.pass(5)
    await this.ports.time.pass(2000, 5)
    await Promise.all(all)
  }

  sleep(ms: number): Promise<void> {
    return new Promise(resolve => void this.ports.time.startTimer(ms, resolve))
  }

  #start(): void {
    while (this.#busy < this.slots) {
      const answer = this.#line.shift()
      if (answer === undefined) return
      this.#busy++
      void this.sleep(this.serviceMs).then(() => {
        this.#busy--
        answer()
        this.#start()
      })
    }
  }
}

test('under too much load the limit settles near what the upstream can take, and latency stays low', async () => {
  const world = new Simulation({}, 10, 20)
  await world.run(100, 2000)
  world.latencies = []
  world.answered = 0
  await world.run(100, 4000)
  assert.ok(world.limit >= 8 && world.limit <= 30, `a limit of ${world.limit}`)
  const sorted = world.latencies.toSorted((a, b) => a - b)
  const p99 = sorted[Math.floor(sorted.length * 0.99)] ?? 0
  // Without it, a hundred calls at once would take 200 ms each.
  assert.ok(p99 <= 60, `${p99} ms`)
  // 10 calls each 20 ms: 2000 in four seconds.
  assert.ok(world.answered > 1600, `${world.answered} answered`)
  assert.ok(world.shed > 0)
})

test('it grows where latency does not', async () => {
  const world = new Simulation({}, 500, 20)
  await world.run(200, 3000)
  assert.ok(world.limit > 200, `a limit of ${world.limit}`)
  const shed = world.shed
  await world.run(200, 1000)
  assert.equal(world.shed, shed)
})

test('it does not grow while nobody uses it', async () => {
  const world = new Simulation({}, 500, 20)
  await world.run(3, 5000)
  assert.ok(world.limit <= 21, `a limit of ${world.limit}`)
})

test('an upstream that became slower for good is measured anew, and one that became faster at once', async () => {
  const world = new Simulation({ measure: 5000 }, 10, 20)
  await world.run(50, 3000)
  world.serviceMs = 60
  await world.run(50, 8000)
  world.answered = 0
  await world.run(50, 3000)
  // 10 at once for 60 ms each are 500 in three seconds.
  assert.ok(world.answered > 400, `${world.answered} answered`)
  world.serviceMs = 10
  await world.run(50, 3000)
  assert.ok(world.limit <= 30, `a limit of ${world.limit}`)
})

test('never goes below `min` or above `max`', async () => {
  const slow = new Simulation({ min: 2 }, 1, 100)
  await slow.run(50, 5000)
  assert.ok(slow.limit >= 2)
  const fast = new Simulation({ max: 30 }, 1000, 10)
  await fast.run(200, 3000)
  assert.ok(fast.limit <= 30)
})

test('the first calls measure the lowest latency with `min` at once', async () => {
  const world = new Simulation({ min: 3 }, 100, 20)
  const step = world.limited(world.serve)
  const replies = Array.from({ length: 10 }, () => step(createCall()))
  await world.ports.time.pass(100, 5)
  const statuses = (await Promise.all(replies)).map(({ status }) => status)
  // Of a limit of three, calls of normal priority may fill two.
  assert.deepEqual(statuses.filter(status => status === 200).length, 2)
})

/** Fills the limit with calls that never end, of this priority, and says how many got through. */
function fill(world: Simulation, rank: Priority, count: number): number {
  const before = world.shared.taken()
  const step = world.limited(() => new Promise(() => {}))
  for (let i = 0; i < count; i++) {
    const call = createCall()
    call.facts.set(priority, rank)
    void step(call)
  }
  return world.shared.taken() - before
}

test('low calls are turned away first, then normal ones, high ones last', () => {
  const world = new Simulation({ min: 20 }, 1, 1)
  assert.equal(fill(world, 'low', 50), 12)
  assert.equal(fill(world, 'normal', 50), 6)
  assert.equal(fill(world, 'low', 50), 0)
  assert.equal(fill(world, 'high', 50), 2)
  assert.equal(fill(world, 'high', 50), 0)
})

test('even the least limit lets one call of each priority through', () => {
  for (const rank of ['low', 'normal', 'high'] as const) {
    assert.equal(fill(new Simulation({ min: 1 }, 1, 1), rank, 5), 1)
  }
})

test('a call that is turned away is answered 503 with a time to come back', async () => {
  const world = new Simulation({ min: 1 }, 1, 1)
  fill(world, 'normal', 5)
  const call: Call = createCall()
  const reply = await world.limited(world.serve)(call)
  assert.deepEqual([reply.status, reply.code, reply.headers.get('retry-after')], [503, 'upstream-overloaded', '1'])
  assert.deepEqual([call.upstream, call.refusal], ['catalog', 'the adaptive limit of the upstream is full'])
  assert.equal(world.ports.counts['turnpike_adaptive_shed upstream=catalog priority=normal'], 5)
})

test('however a call ends, its place is free again', async () => {
  const world = new Simulation({}, 1, 1)
  for (const end of [
    async () => Reply.empty(200),
    async () => Reply.empty(500),
    async () => Reply.problem('breaker-open'),
    () => Promise.reject(failure('upstream-reset')),
    () => Promise.reject(failure('call-timeout')),
    () => Promise.reject(failure('client-closed')),
  ]) {
    await world
      .limited(end)(createCall())
      .catch((thrown: unknown) => assert.ok(thrown instanceof Failure))
    assert.equal(world.shared.taken(), 0)
  }
})

test('fast failures do not pass for low latency, timeouts count as high', async () => {
  const world = new Simulation({}, 100, 20)
  await world.run(10, 1000)
  const lowest = world.row.numbers[4] ?? 0
  assert.ok(lowest >= 20)
  for (let i = 0; i < 100; i++) {
    await world.ports.time.pass(2)
    await world.limited(async () => Reply.empty(500))(createCall())
  }
  assert.equal(world.row.numbers[4], lowest)
  const before = world.limit
  const step = world.limited(async () => {
    await world.sleep(200)
    throw failure('upstream-timeout')
  })
  for (let round = 0; round < 4; round++) {
    const calls = Array.from({ length: 25 }, () => step(createCall()).catch(() => {}))
    await world.ports.time.pass(300, 20)
    await Promise.all(calls)
  }
  assert.ok(world.limit < before, `${before} to ${world.limit}`)
})

test('where the row cannot be had, only `max` holds', async () => {
  const world = new Simulation({ max: 5 }, 1, 1)
  world.row.isLost = true
  assert.equal(fill(world, 'high', 50), 5)
})
