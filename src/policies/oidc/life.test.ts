import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lifeMsOf } from './provider.ts'

test('how long a token lives, as providers say it', () => {
  assert.equal(lifeMsOf(300), 300_000)
  assert.equal(lifeMsOf('3600'), 3_600_000)
  for (const nothing of [undefined, null, 0, '0', -1, NaN, Infinity, '', '1h', '1e9', ' 5', [300], true]) {
    assert.equal(lifeMsOf(nothing), null, JSON.stringify(nothing))
  }
})
