// What `validate` costs: reading and checking a large document, compiling schemas when first used, and one call.
//
// node bench/micro/validate.ts

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fakePorts, makeCall } from '../../test/tools/call.ts'
import { resolveOptions } from '../../test/tools/options.ts'
import { Reply } from '../../src/core/reply.ts'
import { compileDescription } from '../../src/openapi/description.ts'
import { validate } from '../../src/policies/validate/validate.ts'

const require = createRequire(import.meta.url)
const github = readFileSync(require.resolve('@octokit/openapi/generated/api.github.com.json'), 'utf8')

const startedMs = performance.now()
const options = { unsafePatterns: 'refuse', depthMax: 32, hasReplies: true } as const
compileDescription({ path: '/api.json', text: github }, [], options)
console.log(
  `GitHub, ${(github.length / 1e6).toFixed(1)} MB, with replies: ${(performance.now() - startedMs).toFixed(0)} ms to read and check`,
)

const given = resolveOptions(validate, { document: 'api.json' }, { 'api.json': github })
const step = validate.build(given, fakePorts({}, { files: { [given.document]: github } }), { route: 'r', key: 'r' })(
  () => Promise.resolve(Reply.empty(204)),
)
const issue = JSON.stringify({
  title: 'Found a bug',
  body: 'x'.repeat(200),
  labels: ['bug', { name: 'urgent' }],
  assignees: ['ada'],
})
const calls = {
  'GET with 3 parameters': () => makeCall({ target: '/repos/acme/shop/issues?state=open&per_page=50&page=2' }),
  'POST of a small JSON': () =>
    makeCall({
      method: 'POST',
      target: '/repos/acme/shop/issues',
      headers: { 'content-type': 'application/json' },
      body: issue,
    }),
}
for (const [name, make] of Object.entries(calls)) {
  const firstMs = performance.now()
  const reply = await step(make())
  console.log(`${name}: ${reply.status}, first call ${(performance.now() - firstMs).toFixed(1)} ms`)
  for (const [what, run] of [
    ['with', step],
    ['without', () => Promise.resolve(Reply.empty(204))],
  ] as const) {
    for (let i = 0; i < 20_000; i++) await run(make())
    const fromMs = performance.now()
    const rounds = 50_000
    for (let i = 0; i < rounds; i++) await run(make())
    console.log(`  ${what}: ${(((performance.now() - fromMs) / rounds) * 1000).toFixed(2)} µs`)
  }
}
