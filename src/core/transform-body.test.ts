import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualSource, RecordingSink } from '../../test/tools/call.ts'
import { Body } from './body.ts'
import { copyBody } from './copied-body.ts'
import { Failure } from './failure.ts'
import { Headers } from './headers.ts'
import { type Outlet, type Transform, transformBody } from './transform-body.ts'

const broken = new Failure('upstream-reset')

/** A body through a transform into a sink, and how often it was told to be over. */
function through(transform: Transform, isPiped = true) {
  const { body, source } = ManualSource.body()
  const sink = new RecordingSink()
  const seen = { body, source, sink, overs: 0 }
  seen.body = transformBody(body, {
    ...transform,
    over() {
      seen.overs++
      transform.over?.()
    },
  })
  if (isPiped) seen.body.pipe(sink)
  return seen
}

/** Waits with everything until it is told to go on. */
function patient() {
  const held: string[] = []
  const kept: { out: Outlet | null } = { out: null }
  const transform: Transform = {
    start: out => void (kept.out = out),
    write(chunk) {
      held.push(chunk.toString())
      return false
    },
    end: () => void held.push('end'),
    fail: () => void held.push('fail'),
    resume: () => void held.push('resume'),
  }
  return { transform, held, out: () => kept.out as Outlet }
}

test('what a transform does not take passes as it is', () => {
  const { source, sink, overs } = through({})
  assert.equal(source.push('a'), true)
  const trailers = Headers.of({ 'x-sum': '1' })
  source.sink?.end(trailers)
  assert.deepEqual([sink.text, sink.isEnded, sink.trailers], ['a', true, trailers])
  assert.equal(overs, 0, 'it is read before the end')

  const cut = through({})
  cut.source.sink?.fail(broken)
  assert.equal(cut.sink.failure, broken)
})

test('the length is that of the body unless another is said', () => {
  assert.equal(transformBody(Body.of('abc'), {}).length, 3)
  assert.equal(transformBody(Body.of('abc'), {}, -1).length, -1)
})

test('a taker without room holds back the source, and asks it for more', () => {
  const { body, source, sink } = through({ write: (chunk, out) => out.pass(chunk) })
  sink.hasRoom = false
  assert.equal(source.push('a'), false)
  assert.equal(source.resumes, 0)
  body.resume()
  assert.equal(source.resumes, 1)
})

test('a transform that answers for the room itself asks the source by `pull`', () => {
  const { transform, held, out } = patient()
  const { body, source, sink } = through(transform)
  assert.equal(source.push('a'), false)
  body.resume()
  assert.deepEqual(held, ['a', 'resume'])
  assert.equal(source.resumes, 0)
  out().pull()
  assert.equal(source.resumes, 1)
  source.sink?.end(null)
  out().pull()
  assert.equal(source.resumes, 1, 'a source that has ended was asked for more')
  out().pass(Buffer.from('late'))
  out().finish(null)
  assert.deepEqual([sink.text, sink.isEnded], ['late', true])
})

test('a body that is cancelled before it began to move reaches its source and is over once', () => {
  const seen = through({}, false)
  seen.body.cancel()
  seen.body.cancel()
  assert.deepEqual([seen.source.isCancelled, seen.overs], [true, 1])
})

test('behind a cancel nothing is told and nothing is passed on', () => {
  const { transform, held, out } = patient()
  const seen = through(transform)
  seen.body.cancel()
  seen.body.resume()
  assert.equal(seen.source.sink?.write(Buffer.from('b')), false)
  seen.source.sink?.end(null)
  seen.source.sink?.fail(broken)
  assert.equal(out().pass(Buffer.from('c')), false)
  out().finish(null)
  out().cut(broken)
  assert.deepEqual([held, seen.overs, seen.source.isCancelled], [[], 1, true])
  assert.deepEqual([seen.sink.text, seen.sink.isEnded, seen.sink.failure], ['', false, null])
})

test('a body that is cancelled while its last bytes are under way is over, and its source is left alone', () => {
  const { transform, out } = patient()
  const seen = through(transform)
  seen.source.sink?.end(null)
  seen.body.cancel()
  out().finish(null)
  assert.deepEqual([seen.overs, seen.sink.isEnded, seen.source.isCancelled], [1, false, false])
})

test('a body that has ended is not cancelled', () => {
  const seen = through({})
  seen.source.sink?.end(null)
  seen.body.cancel()
  assert.deepEqual([seen.overs, seen.source.isCancelled], [1, false])
})

test('one end is told, whatever else a source says', () => {
  const told: string[] = []
  const seen = through({
    end(trailers, out) {
      told.push('end')
      out.finish(trailers)
    },
    fail(failure, out) {
      told.push('fail')
      out.cut(failure)
    },
  })
  seen.source.sink?.end(null)
  seen.source.sink?.end(null)
  seen.source.sink?.fail(broken)
  assert.deepEqual([told, seen.overs, seen.sink.failure], [['end'], 1, null])
})

test('a cut ends both sides: the source is cancelled, then the taker is told', () => {
  const order: string[] = []
  const seen = through({
    write(_, out) {
      out.cut(broken)
      return false
    },
    over: () => void order.push(`over, source cancelled: ${seen.source.isCancelled}`),
  })
  seen.sink.fail = failure => void order.push(`${failure.code}, source cancelled: ${seen.source.isCancelled}`)
  assert.equal(seen.source.push('a'), false)
  assert.deepEqual(order, ['over, source cancelled: false', 'upstream-reset, source cancelled: true'])
})

test('a transform may end a body early, before it began to move, too', () => {
  const early = through({
    write(chunk, out) {
      out.pass(chunk)
      out.finish(null)
      return false
    },
  })
  early.source.push('enough')
  assert.deepEqual([early.sink.text, early.sink.isEnded, early.source.isCancelled], ['enough', true, true])

  const first = through({ start: out => out.cut(broken) })
  assert.deepEqual([first.sink.failure, first.source.sink, first.source.isCancelled], [broken, null, true])
})

test('a failure may be told as an end', () => {
  const { source, sink } = through({
    fail({ code }, out) {
      out.pass(Buffer.from(code))
      out.finish(null)
    },
  })
  source.sink?.fail(broken)
  assert.deepEqual([sink.text, sink.isEnded, sink.failure], ['upstream-reset', true, null])
})

/** A body that is copied, and what came of the copy. */
function copied(bytesMax: number, isWanted = true) {
  const { body, source } = ManualSource.body()
  const sink = new RecordingSink()
  const seen = { source, sink, copies: [] as (string | null)[], stop: () => {} }
  const through = copyBody(body, {
    bytesMax,
    begin(stop) {
      seen.stop = stop
      return isWanted
    },
    done(copy) {
      const text = new RecordingSink()
      copy?.pipe(text)
      seen.copies.push(copy === null ? null : text.text)
    },
  })
  through.pipe(sink)
  return { ...seen, body: through, stop: () => seen.stop() }
}

test('a body leaves its copy when it has gone on', () => {
  const { source, sink, copies } = copied(4)
  source.push('ab')
  source.push('cd')
  assert.deepEqual(copies, [])
  source.sink?.end(null)
  assert.deepEqual([sink.text, sink.isEnded, copies], ['abcd', true, ['abcd']])
})

test('without a copy, and told so once, passes what is too long, stopped, cut short or cancelled', () => {
  const long = copied(3)
  long.source.push('ab')
  long.source.push('cd')
  long.source.sink?.end(null)
  assert.deepEqual([long.sink.text, long.sink.isEnded, long.copies], ['abcd', true, [null]])

  const stopped = copied(9)
  stopped.source.push('ab')
  stopped.stop()
  stopped.source.push('cd')
  stopped.source.sink?.end(null)
  assert.deepEqual([stopped.sink.text, stopped.copies], ['abcd', [null]])

  const cut = copied(9)
  cut.source.sink?.fail(broken)
  assert.deepEqual([cut.sink.failure, cut.copies], [broken, [null]])

  const cancelled = copied(9)
  cancelled.body.cancel()
  assert.deepEqual([cancelled.source.isCancelled, cancelled.copies], [true, [null]])

  const unwanted = copied(9, false)
  unwanted.source.push('ab')
  unwanted.source.sink?.end(null)
  assert.deepEqual([unwanted.sink.text, unwanted.copies], ['ab', []])
})
