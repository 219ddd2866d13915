import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { describe, it } from 'node:test'
import { HeldWrites, WriteBatch } from './write-batch.ts'

describe('writes of one turn', () => {
  it('leave together at its end, in the order in which they were held', () => {
    const turn = createTurn()
    const wire: string[] = []
    const batch = new WriteBatch(turn.defer)
    for (const name of ['a', 'b']) {
      const socket = createSocket(wire)
      const writes = new HeldWrites(socket, batch)
      for (const part of ['1', '2']) {
        writes.hold()
        socket.write(`${name}${part}`)
      }
    }
    assert.deepEqual(wire, [])
    assert.equal(turn.waiting, 1)
    turn.end()
    assert.deepEqual(wire, ['a1a2', 'b1b2'])
  })

  it('are held again in the next turn', () => {
    const turn = createTurn()
    const wire: string[] = []
    const socket = createSocket(wire)
    const writes = new HeldWrites(socket, new WriteBatch(turn.defer))
    for (const text of ['first', 'second']) {
      writes.hold()
      socket.write(text)
      turn.end()
    }
    assert.deepEqual(wire, ['first', 'second'])
  })

  it('leave with the end of a socket that does not wait for it', () => {
    const turn = createTurn()
    const wire: string[] = []
    const socket = createSocket(wire)
    new HeldWrites(socket, new WriteBatch(turn.defer)).hold()
    socket.end('last')
    assert.deepEqual(wire, ['last'])
    turn.end()
  })

  it('of a crowd do not wait for all of it, and the newest is never flushed before it has written', () => {
    const turn = createTurn()
    const batch = new WriteBatch(turn.defer)
    let flushed = 0
    for (let held = 0; held < 1000; held++) {
      let isHeld = false
      batch.hold({
        flush() {
          assert.ok(isHeld)
          flushed++
        },
      })
      isHeld = true
    }
    assert.ok(flushed >= 700, `${flushed} of 1000 flushed`)
    turn.end()
    assert.equal(flushed, 1000)
  })

  it('that are held while others leave leave in the turn after', () => {
    const turn = createTurn()
    const batch = new WriteBatch(turn.defer)
    const order: string[] = []
    batch.hold({
      flush() {
        order.push('first')
        batch.hold({ flush: () => order.push('second') })
      },
    })
    turn.end()
    assert.deepEqual(order, ['first'])
    turn.end()
    assert.deepEqual(order, ['first', 'second'])
  })
})

/** Stands for the event loop. */
function createTurn() {
  let deferred: (() => void)[] = []
  return {
    defer: (run: () => void) => void deferred.push(run),
    get waiting() {
      return deferred.length
    },
    end() {
      const due = deferred
      deferred = []
      for (const run of due) run()
    },
  }
}

/** A stream that takes what it is given at once; each write to the system is one text in `wire`. */
function createSocket(wire: string[]): Writable {
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      wire.push(chunk.toString())
      done()
    },
    writev(chunks, done) {
      wire.push(chunks.map(({ chunk }) => (chunk as Buffer).toString()).join(''))
      done()
    },
  })
}
