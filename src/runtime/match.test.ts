import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { MatchBlueprint } from '../core/blueprint.ts'
import { OptionsError } from '../core/policy.ts'
import { compileMatch } from './match.ts'
import { makeMatch, makeQuery, type QueryOptions } from './router/fakes.ts'

type Case = readonly [name: string, match: Partial<MatchBlueprint>, path: string, options: QueryOptions, fits: boolean]

const cases: readonly Case[] = [
  ['nothing said', {}, '/', {}, true],
  ['the method', { methods: ['POST'] }, '/', { method: 'POST' }, true],
  ['another method', { methods: ['POST'] }, '/', {}, false],
  ['one of the methods', { methods: ['POST', 'PUT'] }, '/', { method: 'PUT' }, true],
  ['HEAD, as GET', { methods: ['GET'] }, '/', { method: 'HEAD' }, true],
  ['GET, not as HEAD', { methods: ['HEAD'] }, '/', {}, false],
  ['the path', { path: '/a/{id}' }, '/a/1', {}, true],
  ['another path', { path: '/a/{id}' }, '/a', {}, false],
  ['`OPTIONS *`, which has no path', { path: '/**' }, '*', { method: 'OPTIONS' }, false],
  ['the host', { hosts: ['API.acme.test'] }, '/', {}, true],
  ['the host with its final dot', { hosts: ['api.acme.test'] }, '/', { host: 'api.acme.test.' }, true],
  ['another host', { hosts: ['acme.test'] }, '/', {}, false],
  ['a name below', { hosts: ['*.acme.test'] }, '/', { host: 'a.b.acme.test' }, true],
  ['the name itself is not below', { hosts: ['*.acme.test'] }, '/', { host: 'acme.test' }, false],
  ['any host', { hosts: ['*'] }, '/', {}, true],
  ['the header', { headers: { 'X-Batch': '1' } }, '/', { headers: { 'x-batch': '1' } }, true],
  ['another value of the header', { headers: { 'x-batch': '1' } }, '/', { headers: { 'x-batch': '2' } }, false],
  [
    'a second value of the header',
    { headers: { x: '1' } },
    '/',
    {
      headers: [
        ['x', '2'],
        ['x', '1'],
      ],
    },
    true,
  ],
  ['any value of the header', { headers: { x: '*' } }, '/', { headers: { x: '' } }, true],
  ['no such header', { headers: { x: '*' } }, '/', {}, false],
  ['the parameter', { query: { 'a b': 'c d' } }, '/', { query: '?a+b=c%20d' }, true],
  ['no such parameter', { query: { a: '*' } }, '/', { query: '?b=a' }, false],
  ['the listener', { listeners: ['8080'] }, '/', {}, true],
  ['another listener', { listeners: ['8443'] }, '/', {}, false],
  [
    'all of it',
    { methods: ['GET'], path: '/a', headers: { x: '1' }, query: { q: '1' } },
    '/a',
    { headers: { x: '1' }, query: '?q=1' },
    true,
  ],
  [
    'all but one',
    { methods: ['GET'], path: '/a', headers: { x: '1' }, query: { q: '1' } },
    '/a',
    { headers: { x: '1' }, query: '?q=2' },
    false,
  ],
]

describe('fits or not', () => {
  for (const [name, match, path, options, fits] of cases) {
    test(`${name}: ${fits}`, () => assert.equal(compileMatch([makeMatch(match)])(makeQuery(path, options)), fits))
  }
})

test('any of several matches is enough, and of none no call fits', () => {
  const fits = compileMatch([makeMatch({ path: '/a' }), makeMatch({ path: '/b' })])
  assert.deepEqual(
    ['/a', '/b', '/c'].map(path => fits(makeQuery(path))),
    [true, true, false],
  )
  assert.equal(compileMatch([])(makeQuery('/')), false)
})

test('case-insensitive paths are matched in lower case', () => {
  assert.equal(compileMatch([makeMatch({ path: '/API' })], 'insensitive')(makeQuery('/api')), true)
})

test('a bad pattern is an OptionsError', () => {
  assert.throws(() => compileMatch([makeMatch({ path: 'a' })]), OptionsError)
})
