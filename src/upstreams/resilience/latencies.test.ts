import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Latencies } from './latencies.ts'

test('says nothing while it knows little', () => {
  const latencies = new Latencies(0.95)
  for (let i = 0; i < 31; i++) latencies.add(10)
  assert.equal(latencies.quantileMs, 0)
  latencies.add(10)
  assert.equal(latencies.quantileMs, 10)
})

test('tells the time within which the share was answered', () => {
  for (const [share, wanted] of [
    [0.5, 64],
    [0.95, 122],
    [1, 128],
  ] as const) {
    const latencies = new Latencies(share)
    for (let i = 0; i < 128; i++) latencies.add(((i * 37) % 128) + 1)
    assert.equal(latencies.quantileMs, wanted)
  }
})

test('follows the last calls', () => {
  const latencies = new Latencies(0.5)
  for (let i = 0; i < 1000; i++) latencies.add(1)
  for (let i = 0; i < 256; i++) latencies.add(50)
  assert.equal(latencies.quantileMs, 50)
})
