import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { patternBound } from './pattern-bound.ts'

const subdomain = '^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$'

/** Expressions by the longest text that they are tried on. */
const table: readonly [string, number][] = [
  ['(a+)+$', 0],
  ['(a|a)*b', 0],
  ['(a|ab|b)*c', 0],
  ['(a*)*', 0],
  ['(-a*a*)*', 0],
  ['^(a?a?)*$', 0],
  ['(a)\\1', 0],
  ['(?:(?=a*)b)*', 0],
  ['(?:(?!a)[ab]*)*', 0],
  ['(\\d+|[a-z]+){9}x', 0],
  [`^${'a?'.repeat(40)}${'a'.repeat(40)}$`, 0],
  [`^${'(?:a|a)'.repeat(40)}$`, 0],
  ['^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})$', 10_000],
  ['^\\d+\\.\\d+\\.\\d+$', 10_000],
  ['^[a-z0-9]+(-[a-z0-9]+)*$', 10_000],
  ['^refs/(heads|tags|pull)/.*$', 10_000],
  ['^[^@]+@[^@]+$', 10_000],
  ['^\\p{L}+$', 10_000],
  ['github', 10_000],
  ['[a-z]+_token_[0-9]+', 3162],
  ['(.*)x', 3162],
  ['^a*a*b', 3162],
  ['^a*a*a*b', 215],
  ['^(?!aws:)[a-zA-Z+=._:/-]+$', 10_000],
  ['^(?!\\s*$).+', 2236],
  ['^(?=.*[a-z])(?=.*[A-Z])(?=.*\\d)[a-zA-Z\\d]{12,123}$', 1118],
]

for (const [source, bound] of table) {
  test(`${source} is tried on ${bound} characters`, () => assert.equal(patternBound(source).charactersMax, bound))
}

test('addresses of IPv4 may be checked', () => {
  const byte = '([0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5])'
  assert.ok(patternBound(`^(${byte}\\.){3}${byte}$`).charactersMax >= 15)
})

test('names of Kubernetes may be checked', () => assert.ok(patternBound(subdomain).charactersMax >= 100))

test('no expression takes long on texts within its bound', () => {
  const atom = fc.constantFrom('a', 'b', '[ab]', '[^b]', '.', '-')
  const repeat = fc.constantFrom('', '', '*', '+', '?', '{2,5}', '{3}')
  const { pattern } = fc.letrec<{ pattern: string; node: string }>(tie => ({
    pattern: fc.array(tie('node'), { minLength: 1, maxLength: 4 }).map(nodes => nodes.join('')),
    node: fc.oneof(
      { depthSize: 'small' },
      fc.tuple(atom, repeat).map(([one, times]) => one + times),
      fc.tuple(tie('pattern'), tie('pattern'), repeat).map(([one, other, times]) => `(?:${one}|${other})${times}`),
      fc.tuple(tie('pattern'), repeat).map(([one, times]) => `(?:${one})${times}`),
      fc.tuple(tie('pattern'), fc.constantFrom('=', '!', '<=', '<!')).map(([one, way]) => `(?${way}${one})`),
    ),
  }))
  fc.assert(
    fc.property(
      pattern,
      fc.boolean(),
      fc.constantFrom('a', 'ab', 'b', '-a', 'aab', 'a-'),
      (source, isAnchored, unit) => {
        const whole = isAnchored ? `^${source}$` : `${source}c`
        const bound = patternBound(whole).charactersMax
        const text = `${unit.repeat(bound).slice(0, Math.max(0, bound - 1))}!`
        const startedMs = performance.now()
        new RegExp(whole, 'u').test(text)
        assert.ok(performance.now() - startedMs < 1_000, `${whole} took long with ${bound} characters`)
      },
    ),
    { numRuns: 300 },
  )
})
