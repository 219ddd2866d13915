import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { Body } from '../core/body.ts'
import { Headers } from '../core/headers.ts'
import { FakeSink, FakeSource, failure } from './fakes.ts'
import { Replay } from './replay.ts'

function createReplay(bytesMax?: number) {
  const source = new FakeSource()
  const replay = new Replay(new Body(-1, source), bytesMax)
  return { source, replay }
}

test('one try: passes chunks, end and trailers through', () => {
  const { source, replay } = createReplay()
  const sink = new FakeSink()
  replay.body().pipe(sink)
  source.push('one')
  source.push('two')
  const trailers = Headers.of({ 'x-sum': '1' })
  source.sink?.end(trailers)
  assert.equal(sink.text, 'onetwo')
  assert.ok(sink.isEnded)
  assert.equal(sink.trailers, trailers)
})

test('keeps the length', () => {
  const replay = new Replay(Body.of('hello'))
  assert.equal(replay.body().length, 5)
  assert.equal(replay.body().length, 5)
})

test('one try: a full sink stops the source, and its resume is passed on once', () => {
  const { source, replay } = createReplay()
  const body = replay.body()
  const sink = new FakeSink(3)
  body.pipe(sink)
  source.push('one')
  assert.equal(source.hasRoom, false)
  assert.equal(source.resumes, 0)
  body.resume()
  assert.equal(source.resumes, 1)
})

test('a source that pushes at once into a full sink is not resumed by the start', () => {
  const source = new FakeSource()
  source.start = sink => {
    source.sink = sink
    source.push('much')
  }
  const sink = new FakeSink(1)
  new Replay(new Body(-1, source)).body().pipe(sink)
  assert.equal(source.resumes, 0)
  assert.equal(source.hasRoom, false)
})

test('a second try gets everything from the first byte, then what comes live; the first gets no more', () => {
  const { source, replay } = createReplay()
  const [first, second] = [new FakeSink(), new FakeSink()]
  const failing = replay.body()
  failing.pipe(first)
  source.push('one')
  failing.cancel()
  assert.equal(source.isCancelled, false)
  source.push('two')
  assert.equal(source.hasRoom, false, 'between two tries the source waits')
  assert.ok(replay.isReplayable)
  replay.body().pipe(second)
  assert.equal(source.resumes, 1)
  source.push('three')
  source.sink?.end(null)
  assert.equal(first.text, 'one')
  assert.equal(first.isEnded, false)
  assert.equal(second.text, 'onetwothree')
  assert.ok(second.isEnded)
})

test('a body that ended before the second try is replayed with its end and trailers', () => {
  const { source, replay } = createReplay()
  const trailers = Headers.of({ 'x-sum': '1' })
  replay.body().pipe(new FakeSink())
  source.push('one')
  source.sink?.end(trailers)
  const second = new FakeSink()
  replay.body().pipe(second)
  assert.equal(second.text, 'one')
  assert.equal(second.trailers, trailers)
})

test('a slow second sink paces the replay, and the source waits until it has caught up', () => {
  const { source, replay } = createReplay()
  replay.body().pipe(new FakeSink())
  source.push('one')
  source.push('two')
  const body = replay.body()
  const sink = new FakeSink(1)
  body.pipe(sink)
  assert.equal(sink.text, 'one')
  source.push('three')
  assert.equal(source.hasRoom, false)
  body.resume()
  assert.equal(sink.text, 'onetwo')
  body.resume()
  assert.equal(sink.text, 'onetwothree')
  assert.equal(source.resumes, 0)
  body.resume()
  assert.equal(source.resumes, 1)
})

test('a late cancel of an earlier try does not touch the later one', () => {
  const { source, replay } = createReplay()
  const earlier = replay.body()
  earlier.pipe(new FakeSink())
  const sink = new FakeSink()
  replay.body().pipe(sink)
  earlier.cancel()
  earlier.resume()
  source.push('one')
  assert.equal(sink.text, 'one')
  replay.settle()
  assert.equal(source.isCancelled, false)
})

test('a late resume of an earlier try does not hurry the later one', () => {
  const { source, replay } = createReplay()
  const earlier = replay.body()
  earlier.pipe(new FakeSink())
  replay.body().pipe(new FakeSink(1))
  source.push('one')
  earlier.resume()
  assert.equal(source.resumes, 0)
})

test('a sink that cancels while it takes a chunk stops the source', () => {
  const { source, replay } = createReplay()
  const failing = replay.body()
  const sink = new FakeSink()
  sink.onWrite = () => failing.cancel()
  failing.pipe(sink)
  source.push('one')
  assert.equal(source.hasRoom, false)
  const again = replay.body()
  const other = new FakeSink()
  other.onWrite = () => again.cancel()
  again.pipe(other)
  assert.equal(source.resumes, 0)
  const last = new FakeSink()
  replay.body().pipe(last)
  assert.equal(source.resumes, 1)
  assert.equal(last.text, 'one')
})

test('past the bound it goes on but cannot be replayed', () => {
  const { source, replay } = createReplay(5)
  const sink = new FakeSink()
  replay.body().pipe(sink)
  source.push('12345')
  assert.ok(replay.isReplayable)
  source.push('6')
  assert.equal(replay.isReplayable, false)
  source.push('7')
  assert.equal(sink.text, '1234567')
})

test('what comes between two tries is kept also past the bound, for one more try', () => {
  const { source, replay } = createReplay(5)
  const failing = replay.body()
  failing.pipe(new FakeSink())
  source.push('1234')
  failing.cancel()
  source.push('56789')
  assert.ok(replay.isReplayable)
  const sink = new FakeSink()
  replay.body().pipe(sink)
  assert.equal(sink.text, '123456789')
  assert.equal(replay.isReplayable, false)
})

test('a body that its client cut short is not replayable, and the try is told', () => {
  const { source, replay } = createReplay()
  const sink = new FakeSink()
  replay.body().pipe(sink)
  source.sink?.fail(failure('client-closed'))
  assert.equal(sink.failure?.code, 'client-closed')
  assert.equal(replay.isReplayable, false)
})

test('settle: a cancelled body cancels its source, then or later', () => {
  const before = createReplay()
  const cancelled = before.replay.body()
  cancelled.pipe(new FakeSink())
  cancelled.cancel()
  assert.equal(before.source.isCancelled, false)
  before.replay.settle()
  assert.ok(before.source.isCancelled)

  const after = createReplay()
  const running = after.replay.body()
  running.pipe(new FakeSink())
  after.source.push('one')
  after.replay.settle()
  assert.equal(after.replay.isReplayable, false, 'what was kept is let go')
  assert.equal(after.source.isCancelled, false)
  running.cancel()
  assert.ok(after.source.isCancelled)
})

test('settle: a body still on its way goes on whole', () => {
  const { source, replay } = createReplay()
  replay.body().pipe(new FakeSink())
  source.push('one')
  const body = replay.body()
  const sink = new FakeSink(1)
  body.pipe(sink)
  source.push('two')
  replay.settle()
  body.resume()
  body.resume()
  source.push('three')
  source.sink?.end(null)
  assert.equal(sink.text, 'onetwothree')
  assert.ok(sink.isEnded)
})

/** Steps of a run: the source pushes a chunk, the sink of the current try makes room, or a new try begins. */
const anyStep = fc.oneof(
  { weight: 5, arbitrary: fc.record({ push: fc.uint8Array({ minLength: 1, maxLength: 20 }) }) },
  { weight: 3, arbitrary: fc.record({ room: fc.integer({ min: 1, max: 30 }) }) },
  { weight: 1, arbitrary: fc.record({ fails: fc.boolean(), room: fc.integer({ min: 0, max: 30 }) }) },
)

test('whatever the chunks, the pauses and the failures: the last try gets exactly the bytes of the source', () => {
  const property = fc.property(fc.array(anyStep, { maxLength: 60 }), fc.boolean(), (steps, isPolite) => {
    const { source, replay } = createReplay(1e6)
    const pushed: Buffer[] = []
    let body = replay.body()
    let sink = new FakeSink(10)
    body.pipe(sink)
    for (const step of steps) {
      if ('push' in step) {
        // An impolite source has chunks on their way when it is told to stop.
        if (isPolite && !source.hasRoom) continue
        const chunk = Buffer.from(step.push)
        pushed.push(chunk)
        source.push(chunk)
      } else if ('fails' in step) {
        if (step.fails) body.cancel()
        const seen = sink.chunks.length
        const old = sink
        body = replay.body()
        sink = new FakeSink(step.room)
        body.pipe(sink)
        assert.equal(old.chunks.length, seen)
      } else {
        sink.room = step.room
        body.resume()
      }
      const sofar = Buffer.concat(sink.chunks)
      assert.deepEqual(sofar, Buffer.concat(pushed).subarray(0, sofar.length))
    }
    source.sink?.end(null)
    sink.room = Infinity
    body.resume()
    assert.deepEqual(Buffer.concat(sink.chunks), Buffer.concat(pushed))
    assert.ok(sink.isEnded)
  })
  fc.assert(property, { numRuns: 500 })
})
