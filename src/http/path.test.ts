import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import type { PathsBlueprint } from '../core/blueprint.ts'
import { readPath } from './path.ts'

const refuse: PathsBlueprint = {
  dotSegments: 'refuse',
  encodedSlashes: 'refuse',
  emptySegments: 'refuse',
  parameters: 'refuse',
  case: 'sensitive',
}
const normalise: PathsBlueprint = {
  ...refuse,
  dotSegments: 'normalise',
  encodedSlashes: 'normalise',
  emptySegments: 'normalise',
}
const keep: PathsBlueprint = { ...refuse, encodedSlashes: 'keep', emptySegments: 'keep', parameters: 'keep' }
const loosest: PathsBlueprint = { ...keep, dotSegments: 'normalise' }

/** The path that is matched, then the target that is forwarded where it differs from the one received; or the refusal. */
function outcome(target: string, rules: PathsBlueprint): string {
  const read = readPath(target, rules)
  if (!read.isSafe) return read.code
  return read.target === target ? read.path : `${read.path} -> ${read.target}`
}

describe('by the default rules', () => {
  const ordinary: readonly (readonly [target: string, path: string, query: string])[] = [
    ['/', '/', ''],
    ['/a/b', '/a/b', ''],
    ['/a/b/', '/a/b/', ''],
    ['/a?', '/a', '?'],
    ['/a?b=//../%2f;\\%zz', '/a', '?b=//../%2f;\\%zz'],
    ['/a?b?c', '/a', '?b?c'],
    ['/.well-known/x', '/.well-known/x', ''],
    ['/...', '/...', ''],
    ['/a..', '/a..', ''],
    ['/..a/.b', '/..a/.b', ''],
    ['/a%20b?c', '/a b', '?c'],
    ['/%C3%A9', '/é', ''],
    ['/%63atalog', '/catalog', ''],
    ['/A', '/A', ''],
    ['/a%3Bb', '/a;b', ''],
    ['/a%3Fb', '/a?b', ''],
    // Decoded once: what stands behind a second encoding is data, and still encoded for whoever matches it.
    ['/a%252fb', '/a%252fb', ''],
    ['/%252e%252e/b', '/%252e%252e/b', ''],
    // Overlong UTF-8 is no slash or dot here, and does not become one in what is matched.
    ['/a%c0%afb', '/a%C0%AFb', ''],
    ['/%c0%ae%c0%ae/b', '/%C0%AE%C0%AE/b', ''],
    ['/a%ff', '/a%FF', ''],
  ]
  for (const [target, path, query] of ordinary) {
    test(`takes ${target}`, () => assert.deepEqual(readPath(target, refuse), { isSafe: true, path, target, query }))
  }

  const refused: readonly (readonly [target: string, code: string])[] = [
    ...['', '*', 'a', 'http://a/', '?a', '\\a'].map(target => [target, 'malformed-request'] as const),
    ...['/a#b', '/a?b#c', '/a b', '/a\tb', '/a\u0000', '/a\u007f', '/é', '/a?é', '/a\u0100', '/a?b c'].map(
      target => [target, 'malformed-request'] as const,
    ),
    ...['/%', '/%2', '/%zz', '/%%32', '/a%00', '/a%0d%0a', '/%1f', '/%7F'].map(
      target => [target, 'malformed-request'] as const,
    ),
    ...['/a%2fb', '/a%2Fb', '/a%5cb', '/a%5Cb', '/a\\b', '/\\a', '/..%2fb'].map(
      target => [target, 'unsafe-path'] as const,
    ),
    ...['//', '//a', '/a//', '/a//b', '//evil.test/'].map(target => [target, 'unsafe-path'] as const),
    ...['/;', '/a;b', '/a;b=c/d', '/..;/a', '/a/;/b'].map(target => [target, 'unsafe-path'] as const),
    ...['/.', '/..', '/./', '/../', '/a/.', '/a/..', '/a/../b', '/a/./b', '/a/..?x'].map(
      target => [target, 'unsafe-path'] as const,
    ),
    ...['/%2e', '/%2E%2e/a', '/.%2e/a', '/%2e./a', '/a/%2e%2e', '/..%3b/a', '/a/%2e%3Bx'].map(
      target => [target, 'unsafe-path'] as const,
    ),
  ]
  for (const [target, code] of refused) {
    test(`refuses ${JSON.stringify(target)}`, () => assert.equal(outcome(target, refuse), code))
  }
})

describe('normalises by choice', () => {
  const cases: readonly (readonly [target: string, result: string])[] = [
    ['/a/../b', '/b -> /b'],
    ['/a/./b?c=..', '/a/b -> /a/b?c=..'],
    ['/a/..', '/ -> /'],
    ['/a/.', '/a/ -> /a/'],
    ['/../../a', '/a -> /a'],
    ['/a/b/%2e%2E/c', '/a/c -> /a/c'],
    ['/a/.%2e/%2e/c', '/c -> /c'],
    ['/a//b', '/a/b -> /a/b'],
    ['//a///', '/a/ -> /a/'],
    ['/a%2fb%5Cc\\d', '/a/b/c/d -> /a/b/c/d'],
    ['/a%2f..%2fb', '/b -> /b'],
    ['/a/..%2f/b', '/b -> /b'],
    ['/a%2f%2fb', '/a/b -> /a/b'],
    ['/%41/../%42%20', '/B  -> /%42%20'],
    ['/a%20b', '/a b'],
    ['/..;/a', 'unsafe-path'],
    ['/..%3b/a', 'unsafe-path'],
    ['/a;b', 'unsafe-path'],
  ]
  for (const [target, result] of cases) test(target, () => assert.equal(outcome(target, normalise), result))
})

describe('keeps by choice', () => {
  const cases: readonly (readonly [target: string, result: string])[] = [
    ['/a%2fb', '/a%2Fb'],
    ['/a%5cb', '/a%5Cb'],
    ['/a\\b', '/a\\b'],
    ['/a//b', '/a//b'],
    ['/a;b/c', '/a;b/c'],
    ['/..;/a', 'unsafe-path'],
    ['/a/..%2fb', 'unsafe-path'],
    ['/a%2f%2e%2e', 'unsafe-path'],
    ['/a\\..\\b', 'unsafe-path'],
    ['/a//../b', 'unsafe-path'],
  ]
  for (const [target, result] of cases) test(target, () => assert.equal(outcome(target, keep), result))
})

test('gives the path in lower case, and the target as it was, when case does not matter', () => {
  const rules: PathsBlueprint = { ...refuse, case: 'insensitive' }
  assert.deepEqual(readPath('/A/B?C', rules), { isSafe: true, path: '/a/b', target: '/A/B?C', query: '?C' })
  assert.deepEqual(readPath('/%41/%C3%89', rules), { isSafe: true, path: '/a/é', target: '/%41/%C3%89', query: '' })
})

const piece = fc.constantFrom(
  '/',
  '/',
  '.',
  '..',
  '%2e',
  '%2E',
  '%2f',
  '%5C',
  '\\',
  ';',
  '%3b',
  '%25',
  'a',
  '?',
  '%C3%A9',
  '%ff',
)
const hostile = fc.array(piece, { maxLength: 12 }).map(pieces => `/${pieces.join('')}`)

test('under any rules: matched and forwarded have the same segments, and none is a dot-segment', () => {
  fc.assert(
    fc.property(hostile, fc.constantFrom(refuse, normalise, keep, loosest), (target, rules) => {
      const read = readPath(target, rules)
      if (!read.isSafe) return
      const [forwarded = ''] = read.target.split('?')
      assert.equal(read.path.split('/').length, forwarded.split('/').length)
      const again = readPath(read.target, rules)
      assert.deepEqual(again, read, 'what is forwarded would be read alike')
      for (const segment of forwarded.split(/[/\\]|%2f|%5c/i)) {
        assert.doesNotMatch(segment.replace(/(?:;|%3b).*/i, ''), /^(?:\.|%2e){1,2}$/i)
      }
      if (rules === refuse) assert.equal(new URL(`http://a${read.target}`).pathname, forwarded)
    }),
    { numRuns: 5000 },
  )
})
