// Ten thousand routes against ten. The figures are printed; the bounds are loose, as machines are busy.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findConflicts } from './conflicts.ts'
import { type FakeRoute, makeQuery, makeRoute } from './fakes.ts'
import { compileRouter, type Router } from './router.ts'

const shapes: Readonly<Record<string, (i: number) => { route: FakeRoute; host: string; path: string }>> = {
  'by prefix': i => ({
    route: makeRoute(`r${i}`, { path: `/team${i % 100}/service${i}/**`, methods: ['GET', 'POST'] }),
    host: 'api.acme.test',
    path: `/team${i % 100}/service${i}/items/7`,
  }),
  'by parameters': i => ({
    route: makeRoute(`r${i}`, { path: `/{tenant}/service${i}/{id}` }),
    host: 'api.acme.test',
    path: `/acme/service${i}/7`,
  }),
  'by host': i => ({
    route: makeRoute(`r${i}`, { hosts: [`*.h${i}.acme.test`], path: '/v1/**' }),
    host: `api.h${i}.acme.test`,
    path: '/v1/items',
  }),
}

function nanosecondsPerMatch(router: Router, calls: readonly ReturnType<typeof makeQuery>[]): number {
  let best = Infinity
  for (let round = 0; round < 5; round++) {
    const startedMs = performance.now()
    for (let i = 0; i < 20_000; i++) {
      const call = calls[i % calls.length]
      if (call === undefined || router.match(call).kind !== 'found') assert.fail('a route was not found')
    }
    best = Math.min(best, (performance.now() - startedMs) * 50)
  }
  return best
}

for (const [name, shape] of Object.entries(shapes)) {
  test(`10,000 routes ${name}`, context => {
    const figures = [10, 10_000].map(count => {
      const made = Array.from({ length: count }, (_, i) => shape(i))
      const startedMs = performance.now()
      const router = compileRouter(made.map(({ route }) => route))
      const compiledMs = performance.now() - startedMs
      const calls = Array.from({ length: 500 }, (_, i) => {
        const { path, host } = shape((i * 7919) % count)
        return makeQuery(path, { host })
      })
      made.forEach(({ path, host }, index) => {
        const routing = router.match(makeQuery(path, { host }))
        assert.equal(routing.kind === 'found' && routing.route, index)
      })
      return { compiledMs, matchNs: nanosecondsPerMatch(router, calls) }
    })
    const [few, many] = figures
    assert.ok(few !== undefined && many !== undefined)
    context.diagnostic(`10 routes: ${few.matchNs.toFixed(0)} ns per match`)
    context.diagnostic(
      `10,000 routes: ${many.matchNs.toFixed(0)} ns per match, compiled in ${many.compiledMs.toFixed(0)} ms`,
    )
    assert.ok(many.compiledMs < 2000)
    assert.ok(many.matchNs < few.matchNs * 10 + 2000)
  })
}

test('10,000 routes are checked for conflicts in well under a second', context => {
  const routes = Array.from({ length: 10_000 }, (_, i) =>
    makeRoute(`r${i}`, { path: `/a/${i}/**`, methods: ['GET', 'PUT'] }),
  )
  const startedMs = performance.now()
  assert.equal(findConflicts([...routes, makeRoute('last', { path: '/a/9999/**', methods: ['PUT'] })]).length, 1)
  const checkedMs = performance.now() - startedMs
  context.diagnostic(`checked in ${checkedMs.toFixed(0)} ms`)
  assert.ok(checkedMs < 2000)
})

test('many overlapping patterns cost no more than the tree has nodes', () => {
  const routes = Array.from({ length: 1024 }, (_, i) => {
    const segments = Array.from({ length: 10 }, (_unused, bit) => ((i >> bit) & 1 ? 'a' : `{p${bit}}`))
    return makeRoute(`r${i}`, { path: `/${segments.join('/')}/end` })
  })
  const router = compileRouter(routes)
  const startedMs = performance.now()
  for (let i = 0; i < 100; i++) assert.equal(router.match(makeQuery(`${'/a'.repeat(10)}/other`)).kind, 'not-found')
  assert.ok(performance.now() - startedMs < 2000)
})
