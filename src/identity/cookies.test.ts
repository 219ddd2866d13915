import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Headers } from '../core/headers.ts'
import { removeCookies } from './cookies.ts'

const without = (cookie: string) => {
  const headers = Headers.of({ cookie })
  removeCookies(headers, name => name === 'session')
  return headers.get('cookie')
}

test('the cookie of the name goes, and the field with its last one', () => {
  assert.equal(without('a=1; session=x; b=2'), 'a=1; b=2')
  assert.equal(without('session=x;\tsession =y'), undefined)
})

test('what is left keeps its names: none becomes that of another cookie', () => {
  assert.equal(without('session=x; \u00a0app=planted'), '\u00a0app=planted')
  assert.equal(without('\u00a0session=planted; session=x'), '\u00a0session=planted')
})
