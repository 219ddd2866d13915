import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTicketMemory, rotateTicketKeys, ticketAnswer, type TicketAnswer } from './ticket-keys.ts'

const nobody = Buffer.alloc(16)
const made = (memory: ReturnType<typeof createTicketMemory>) => ticketAnswer(memory, nobody, true)
const nameOf = ([, , , name]: TicketAnswer) => name ?? assert.fail('a new ticket names its key')

test('a ticket is opened by the key that it was made with', () => {
  const memory = createTicketMemory()
  const [code, mac, content, name, nonce] = made(memory)
  assert.equal(code, 1)
  assert.deepEqual([name?.length, nonce?.length, mac.length, content.length], [16, 16, 16, 16])
  assert.deepEqual(ticketAnswer(memory, nameOf(made(memory)), false), [2, mac, content])
})

test('no two tickets have the same nonce', () => {
  const memory = createTicketMemory()
  assert.notDeepEqual(made(memory)[4], made(memory)[4])
})

test('after a rotation an old ticket is good; after a second it is not', () => {
  const memory = createTicketMemory()
  const [, mac, content] = made(memory)
  const name = nameOf(made(memory))
  rotateTicketKeys(memory)
  assert.notDeepEqual(nameOf(made(memory)), name)
  assert.deepEqual(ticketAnswer(memory, name, false), [2, mac, content])
  rotateTicketKeys(memory)
  assert.equal(ticketAnswer(memory, name, false)[0], 0)
})

test('each of many rotations makes a key that was not there before', () => {
  const memory = createTicketMemory()
  const names = new Set<string>()
  for (let i = 0; i < 50; i++) {
    names.add(nameOf(made(memory)).toString('hex'))
    rotateTicketKeys(memory)
  }
  assert.equal(names.size, 50)
})

test('an answer does not change when its place is written anew', () => {
  const memory = createTicketMemory()
  const [, mac] = made(memory)
  const before = Buffer.from(mac)
  for (let i = 0; i < 3; i++) rotateTicketKeys(memory)
  assert.deepEqual(mac, before)
})

test('a stranger is told no key', () => {
  const answer = ticketAnswer(createTicketMemory(), nobody, false)
  assert.equal(answer[0], 0)
  assert.deepEqual([answer[1], answer[2]], [nobody, nobody])
})
