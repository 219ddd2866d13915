import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { compilePattern } from './pattern.ts'
import { OptionsError } from './policy.ts'

const matching: readonly (readonly [pattern: string, path: string, matches: boolean])[] = [
  ['/', '/', true],
  ['/', '/a', false],
  ['/a', '/a', true],
  ['/a', '/a/', false],
  ['/a', '/ab', false],
  ['/a', '/A', false],
  ['/a/', '/a/', true],
  ['/a/', '/a', false],
  ['/a/**', '/a', true],
  ['/a/**', '/a/', true],
  ['/a/**', '/a/b', true],
  ['/a/**', '/a/b/c/', true],
  ['/a/**', '/ab', false],
  ['/a/**', '/', false],
  ['/**', '/', true],
  ['/**', '/a/b', true],
  ['/users/{id}', '/users/7', true],
  ['/users/{id}', '/users/', false],
  ['/users/{id}', '/users', false],
  ['/users/{id}', '/users/7/', false],
  ['/users/{id}/', '/users/7/', true],
  ['/users/{id}/**', '/users/7', true],
  ['/users/{id}/**', '/users//x', false],
  ['/{a}/b/{c}', '/x/b/y', true],
  ['/{a}/b/{c}', '/x/c/y', false],
  ['/caf%C3%A9', '/café', true],
  ['/café', '/café', true],
  ['/a%20b', '/a b', true],
  ['/100%25', '/100%25', true],
  ['/a%2fb', '/a%2Fb', true],
  ['/a%2fb', '/a/b', false],
  ['/%7Bid%7D', '/{id}', true],
  ['/%7Bid%7D', '/x', false],
]

test('matches whole segments of the decoded path', () => {
  for (const [pattern, path, matches] of matching) {
    assert.equal(compilePattern(pattern).matches(path), matches, `${pattern} on ${path}`)
  }
})

test('matches paths in lower case when paths are case-insensitive', () => {
  const pattern = compilePattern('/API/{Id}/%C3%89', 'insensitive')
  assert.equal(pattern.matches('/api/x/é'), true)
  assert.equal(pattern.param('/Api/X/%C3%A9', 'Id'), 'X')
})

const params: readonly (readonly [pattern: string, target: string, name: string, value: string | undefined])[] = [
  ['/users/{id}', '/users/7?x=/y', 'id', '7'],
  ['/users/{id}', '/users/a%2Fb', 'id', 'a%2Fb'],
  ['/{a}/x/{b}', '/1/x/2', 'b', '2'],
  ['/{a}/x/{b}', '/1/x/2', 'a', '1'],
  ['/{a}/**', '/1/x//2/?q', 'rest', 'x//2/'],
  ['/{a}/**', '/1', 'rest', ''],
  ['/{a}/**', '/1?q=/z', 'rest', ''],
  ['/a/**', '/a/', 'rest', ''],
  ['/**', '/', 'rest', ''],
  ['/**', '/a/b?c', 'rest', 'a/b'],
  ['/a/{b}', '/a/1', 'rest', undefined],
  ['/a/{b}', '/a/1', 'c', undefined],
  ['/a/{b}', '/a/1', '', undefined],
  ['/a/{b}', '/a?x=/2', 'b', undefined],
  ['/a/b/**', '/a', 'rest', undefined],
]

test('reads parameters from the raw target', () => {
  for (const [pattern, target, name, value] of params) {
    assert.equal(compilePattern(pattern).param(target, name), value, `{${name}} of ${pattern} on ${target}`)
  }
})

test('names its parameters and segments', () => {
  const pattern = compilePattern('/a/{id}/**')
  assert.deepEqual(pattern.paramNames, ['id', 'rest'])
  assert.deepEqual(pattern.segments, [
    { kind: 'literal', text: 'a' },
    { kind: 'param', name: 'id' },
  ])
  assert.equal(pattern.isPrefix, true)
})

describe('refuses', () => {
  const bad: readonly (readonly [pattern: string, message: RegExp])[] = [
    ['', /does not start with a slash/],
    ['a', /does not start with a slash/],
    ['**', /does not start with a slash/],
    ['/a?b=c', /holds a query/],
    ['/a#b', /holds a `#`/],
    ['/a\\b', /backslash/],
    ['/a b', /space or control/],
    ['/a\nb', /space or control/],
    ['//', /empty segment/],
    ['/a//b', /empty segment/],
    ['/a//**', /empty segment/],
    ['/**/a', /goes on after/],
    ['/**/', /goes on after/],
    ['/a/*', /holds `\*`/],
    ['/a*', /inside the segment `a\*`/],
    ['/a**', /inside the segment/],
    ['/{a', /only part of the segment/],
    ['/a}', /only part of the segment/],
    ['/v{n}', /only part of the segment/],
    ['/{a}{b}', /only part of the segment/],
    ['/{}', /invalid parameter name/],
    ['/{1a}', /invalid parameter name/],
    ['/{a.b}', /invalid parameter name/],
    ['/{rest}', /reserved parameter name/],
    ['/{path}', /reserved parameter name/],
    ['/{a}/{a}', /names `\{a\}` twice/],
    ['/a%', /invalid percent-encoding/],
    ['/a%2', /invalid percent-encoding/],
    ['/a%zz', /invalid percent-encoding/],
    ['/a%00', /invalid percent-encoding/],
    ['/a/../b', /dot-segment/],
    ['/.', /dot-segment/],
    ['/%2e%2E/a', /dot-segment/],
    ['/\ud800', /Unicode/],
  ]
  for (const [pattern, message] of bad) {
    test(JSON.stringify(pattern), () => {
      assert.throws(
        () => compilePattern(pattern),
        (thrown: unknown) => thrown instanceof OptionsError && message.test(thrown.message) && thrown.hint !== '',
      )
    })
  }
})

test('agrees with a regular expression on any path', () => {
  const segment = fc.constantFrom('a', 'b', 'ab', '{x}', '{y}')
  const pattern = fc.tuple(fc.uniqueArray(segment, { maxLength: 4 }), fc.constantFrom('', '/', '/**'))
  const path = fc.array(fc.constantFrom('a', 'b', 'ab', ''), { minLength: 1, maxLength: 5 })
  fc.assert(
    fc.property(pattern, path, ([segments, end], parts) => {
      const text = segments.map(part => `/${part}`).join('') + (segments.length === 0 && end === '' ? '/' : end)
      const source = text.replace(/\/\*\*$/, '(?:/.*)?').replace(/\{\w\}/g, '[^/]+')
      const tried = `/${parts.join('/')}`
      assert.equal(compilePattern(text).matches(tried), new RegExp(`^${source}$`).test(tried), `${text} on ${tried}`)
    }),
  )
})
