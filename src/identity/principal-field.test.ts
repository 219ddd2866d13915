import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Principal } from '../core/principal.ts'
import { compilePrincipalField } from './principal-field.ts'

const principal = (claims: Principal['claims']): Principal => ({
  ...{ method: 'jwt', id: 'i', consumer: null, application: null, credential: '', scopes: [], claims },
})
const read = (value: unknown) => compilePrincipalField('claims.it')(principal({ it: value }))

test('lists are joined by commas, and no text in one pretends to be two', () => {
  assert.equal(read(['users', 'admin']), 'users,admin')
  assert.equal(read(['users,admin']), 'users%2Cadmin')
  assert.equal(read(['dns:a.test', 'cn:x\\,dns:admin.test']), 'dns:a.test,cn:x\\%2Cdns:admin.test')
  assert.equal(read([['a,b', 1], true]), 'a%2Cb,1,true')
  assert.equal(read([]), '')
})

test('a text alone stays as it is, and what has no text in it has none', () => {
  assert.equal(read('Doe, Jane'), 'Doe, Jane')
  for (const value of [{}, null, [{}], [null], undefined]) assert.equal(read(value), undefined)
  let deep: unknown = 'x'
  for (let depth = 0; depth < 10_000; depth++) deep = [deep]
  assert.equal(read(deep), undefined)
})
