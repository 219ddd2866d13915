import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { MatchBlueprint } from '../../core/blueprint.ts'
import { findConflicts } from './conflicts.ts'
import { makeRoute } from './fakes.ts'

type Given = Partial<MatchBlueprint>

const cases: readonly (readonly [name: string, first: Given, second: Given, isConflict: boolean])[] = [
  ['nothing said', {}, {}, true],
  ['any path and `/**`', {}, { path: '/**' }, true],
  ['parameters of other names', { path: '/a/{x}/**' }, { path: '/a/{y}/**' }, true],
  ['escapes of the same path', { path: '/%61%c3%a9' }, { path: '/aé' }, true],
  ['fields and parameters in another order', { headers: { a: '1', B: '2' } }, { headers: { b: '2', A: '1' } }, true],
  ['hosts in another case', { hosts: ['A.test'] }, { hosts: ['a.test'] }, true],
  ['a part of the methods', { methods: ['GET', 'POST'] }, { methods: ['POST'] }, true],
  ['a part of the hosts', { hosts: ['a', 'b'] }, { hosts: ['b'] }, true],
  ['one listener of any', {}, { listeners: ['x'] }, true],
  ['more methods', { methods: ['POST'] }, { methods: ['GET', 'POST'] }, false],
  ['more hosts', { hosts: ['b'] }, { hosts: ['a', 'b'] }, false],
  ['more listeners', { listeners: ['x'] }, {}, false],
  ['a named method after any', {}, { methods: ['GET'] }, false],
  ['HEAD after GET', { methods: ['GET'] }, { methods: ['HEAD'] }, false],
  ['another path', { path: '/a' }, { path: '/a/' }, false],
  ['an exact path and a prefix', { path: '/a' }, { path: '/a/**' }, false],
  ['a parameter and a literal', { path: '/{a}' }, { path: '/a' }, false],
  ['a parameter and literal braces', { path: '/{a}' }, { path: '/%7B%7D' }, false],
  ['another value', { headers: { a: '1' } }, { headers: { a: '2' } }, false],
  ['any value', { query: { a: '1' } }, { query: { a: '*' } }, false],
  ['a parameter in another case', { query: { a: '1' } }, { query: { A: '1' } }, false],
]

describe('reports', () => {
  for (const [name, first, second, isConflict] of cases) {
    test(`${name}: ${isConflict ? 'a conflict' : 'none'}`, () => {
      const conflicts = findConflicts([makeRoute('one', { path: '/other' }, first), makeRoute('two', second)])
      const expected = {
        first: { route: 'one', routeIndex: 0, matchIndex: 1 },
        second: { route: 'two', routeIndex: 1, matchIndex: 0 },
      }
      assert.deepEqual(conflicts, isConflict ? [expected] : [])
    })
  }
})

test('says nothing of one route that repeats itself', () => {
  assert.deepEqual(findConflicts([makeRoute('one', { path: '/a' }, { path: '/a' })]), [])
})

test('finds a match whose calls two others share', () => {
  const routes = [
    makeRoute('a', { hosts: ['a'] }),
    makeRoute('b', { hosts: ['b'] }),
    makeRoute('c', { hosts: ['a', 'b'] }),
  ]
  assert.deepEqual(
    findConflicts(routes).map(({ first, second }) => [first.route, second.route]),
    [['a', 'c']],
  )
})

test('paths that differ in case only are one when case does not matter', () => {
  const routes = [makeRoute('a', { path: '/A' }), makeRoute('b', { path: '/a' })]
  assert.equal(findConflicts(routes, 'sensitive').length, 0)
  assert.equal(findConflicts(routes, 'insensitive').length, 1)
})
