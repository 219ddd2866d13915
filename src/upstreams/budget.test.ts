import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Budget, createBudget } from './budget.ts'

function drain(budget: Budget, nowMs: number): number {
  let taken = 0
  while (taken < 10_000 && budget.tryRetry(nowMs)) taken++
  return taken
}

test('allows a share of the calls', () => {
  const budget = createBudget(0.2)
  for (let i = 0; i < 1000; i++) budget.countCall(500)
  assert.equal(drain(budget, 600), 200)
  assert.equal(budget.tryRetry(600), false)
})

test('allows three retries in any second, however few the calls', () => {
  const budget = createBudget(0.2)
  assert.equal(drain(budget, 0), 3)
  assert.equal(drain(budget, 999), 0)
  assert.equal(drain(budget, 1000), 3)
})

test('a share of nothing leaves the floor only', () => {
  const budget = createBudget(0)
  for (let i = 0; i < 1000; i++) budget.countCall(0)
  assert.equal(drain(budget, 0), 3)
})

test('calls and retries count for ten seconds', () => {
  const budget = createBudget(0.5)
  for (let i = 0; i < 100; i++) budget.countCall(0)
  assert.equal(drain(budget, 9_999), 50)
  // The calls of second 0 are forgotten, the retries of second 9 are not.
  for (let i = 0; i < 102; i++) budget.countCall(10_000)
  assert.equal(drain(budget, 10_000), 3)
  for (let i = 0; i < 100; i++) budget.countCall(19_000)
  // Now the retries of second 9 are forgotten too; three of second 10 remain.
  assert.equal(drain(budget, 19_000), 98)
})

test('forgets everything after a long silence', () => {
  const budget = createBudget(0.5)
  for (let i = 0; i < 100; i++) budget.countCall(0)
  assert.equal(drain(budget, 3_600_000), 3)
})

test('a call whose time lags behind is counted now', () => {
  const budget = createBudget(0.5)
  budget.countCall(20_000)
  for (let i = 0; i < 99; i++) budget.countCall(1_000)
  assert.equal(drain(budget, 20_000), 50)
})
