import assert from 'node:assert/strict'
import { test } from 'node:test'
import { scopesOf } from './bearer.ts'

test('scopes are words of a text, or texts of a list; one with spaces is none, and widens nothing', () => {
  assert.deepEqual(scopesOf({ scope: 'read write ' }), ['read', 'write'])
  assert.deepEqual(scopesOf({ scp: ['read', 'write'] }), ['read', 'write'])
  assert.deepEqual(scopesOf({ scp: ['read', 'x admin', 7, 'a\tb'] }), ['read'])
  assert.deepEqual(scopesOf({ scope: null }), [])
})
