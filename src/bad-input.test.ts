import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { parse } from 'yaml'
import { fakePorts, makeCall } from '../test/tools/call.ts'
import { everyPolicy, resolved, texts } from '../test/tools/every-policy.ts'
import { localLimits } from '../test/tools/limits.ts'
import { policies } from './builtin.ts'
import { Failure } from './core/failure.ts'
import { Reply } from './core/reply.ts'
import type { Step } from './core/step.ts'

/** Policies that let nobody pass who proves nothing, whatever else a call holds. */
const guards = new Set(['api-key', 'basic', 'client-certificate', 'hmac', 'introspection', 'jwt', 'oidc'])

interface Written {
  readonly routes: { readonly name: string; readonly policies?: unknown[] }[]
}

const written = parse(everyPolicy) as Written
/** Every place of the config where a policy stands. */
const places = written.routes.flatMap(({ policies: list = [] }, route) => list.map((_, index) => ({ route, index })))

describe('options of any shape', () => {
  const mutation = fc.record({
    place: fc.constantFrom(...places),
    at: fc.array(fc.nat({ max: 20 }), { maxLength: 5 }),
    value: fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      fc.constantFrom('', '0', '-1', '1/0', '{', '${env:}', '*', '**', '/{a}/{a}', '10.0.0.0/99', '1e999', 'GET '),
    ),
    key: fc.option(fc.oneof(fc.string(), fc.constantFrom('__proto__', 'constructor', 'when', 'limit', 'by'))),
  })

  test('are taken, or refused with words and a place; and what is taken can be built', () => {
    fc.assert(
      fc.property(mutation, ({ place, at, value, key }) => {
        const config = structuredClone(written)
        const list = config.routes[place.route]?.policies ?? []
        list[place.index] = changed(list[place.index], at, value, key)
        const result = resolved(JSON.stringify(config))
        if (!result.ok) {
          assert.ok(result.problems.length > 0)
          for (const { message, position } of result.problems) assert.ok(message !== '' && position !== undefined)
          return
        }
        for (const { policies: uses, name } of result.blueprint.routes) {
          for (const use of uses) built(use.policy, use.options, name)
        }
      }),
      { numRuns: 400 },
    )
  })
})

describe('calls of any shape', () => {
  const result = resolved(everyPolicy)
  assert.ok(result.ok)
  const text = fc.string({ unit: fc.integer({ min: 0x20, max: 0xff }).map(code => String.fromCharCode(code)) })
  const name = fc.constantFrom(
    ...['authorization', 'x-api-key', 'cookie', 'content-type', 'signature', 'signature-input', 'content-digest'],
    ...['origin', 'referer', 'user-agent', 'x-who', 'x-order', 'accept', 'sec-fetch-site', 'x-a', '__proto__'],
  )
  const value = fc.oneof(
    text,
    text.map(rest => `Bearer ${rest}`),
    text.map(rest => `Basic ${Buffer.from(rest).toString('base64')}`),
    fc.constantFrom(
      'application/json',
      'text/xml',
      'Bearer a.b.c',
      'sig=("@method");created=1;keyid="a"',
      'sig=:AA==:',
    ),
  )
  const anyCall = fc.record({
    method: fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'QUERY', 'constructor'),
    target: fc.webPath().map(path => (path.startsWith('/') ? path : `/${path}`)),
    query: fc.oneof(
      fc.constant(''),
      fc.webQueryParameters().map(rest => `?${rest}`),
    ),
    headers: fc.array(fc.tuple(name, value), { maxLength: 6 }),
    body: fc.oneof(fc.constant(''), fc.json(), text, fc.constant('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>')),
  })

  for (const { policies: uses, name: route } of result.blueprint.routes) {
    uses.forEach(({ policy, options }, index) => {
      test(`${policy} (${route}/${index}) answers or fails in order${guards.has(policy) ? ', and lets none pass' : ''}`, async () => {
        let passed = 0
        const step = built(policy, options, route, async () => {
          passed++
          return Reply.empty(200)
        })
        await fc.assert(
          fc.asyncProperty(anyCall, async ({ method, target, query, headers, body }) => {
            const before = passed
            try {
              const reply = await step(makeCall({ method, target: target + query, headers, body }))
              assert.ok(reply.status >= 200 && reply.status <= 599)
            } catch (thrown) {
              assert.ok(thrown instanceof Failure && thrown.code !== 'internal', String(thrown))
            }
            if (guards.has(policy)) assert.equal(passed, before)
          }),
          { numRuns: 60 },
        )
      })
    })
  }
})

function built(policy: string, options: unknown, route: string, next: Step = async () => Reply.empty(200)): Step {
  const definition = policies.find(({ name }) => name === policy)
  assert.ok(definition !== undefined)
  const ports = fakePorts({}, { policies, files: texts, limits: options => limits(options) })
  const limits = localLimits({ time: ports.clock })
  return definition.build(options, ports, { route, key: route })(next)
}

/** A copy in which something is another value, or has one more key. `at` leads there. */
function changed(value: unknown, at: readonly number[], to: unknown, key: string | null): unknown {
  const [first, ...rest] = at
  const isTable = typeof value === 'object' && value !== null
  if (first === undefined || !isTable) return isTable && key !== null ? { ...value, [key]: to } : to
  const keys = Object.keys(value)
  const chosen = keys[first % Math.max(1, keys.length)]
  if (chosen === undefined) return to
  const copy: Record<string, unknown> | unknown[] = Array.isArray(value) ? [...value] : { ...value }
  return Object.assign(copy, { [chosen]: changed((value as Record<string, unknown>)[chosen], rest, to, key) })
}
