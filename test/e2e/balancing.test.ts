// Hashing over several workers and real servers: the same value, the same target, whoever takes the call, also when one falls sick.
//
// Runs alone.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { ask } from '../tools/ask.ts'
import { Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'

const users = Array.from({ length: 30 }, (_, index) => `user-${index}`)
/** Each call of a value on a connection of its own, so that other workers get it. */
const callsEach = 4

/** Targets with the paths of checks that they fail: one upstream finds its target sick, and the others do not. */
const sick = new Set<string>()
const checkPath = (kind: string) => `/check/${kind}`
const checks = { interval: '200ms', timeout: '2s', unhealthy: 1, healthy: 1 }
const health = (kind: string) => ({ ...checks, path: checkPath(kind) })
let origins: Origin[] = []
let program: Program

before(async () => {
  origins = await Promise.all(
    ['a', 'b', 'c'].map(name =>
      Origin.start((request, response) => {
        response
          .writeHead(sick.has(`${name} ${request.url}`) ? 503 : 200, { 'x-origin': name, 'content-length': 0 })
          .end()
      }),
    ),
  )
  const targets = origins.map(({ url }) => url)
  const upstream = (kind: string, hashBy: string) => ({ targets, balance: 'hash', hashBy, health: health(kind) })
  program = await Program.start({
    workers: 4,
    upstreams: {
      header: upstream('header', '{header.x-user}'),
      cookie: upstream('cookie', '{cookie.session}'),
      path: upstream('path', '{id}'),
      client: { targets, balance: 'hash', health: health('client') },
    },
    routes: [
      { match: { path: '/header' }, forward: 'header' },
      { match: { path: '/cookie' }, forward: 'cookie' },
      { match: { path: '/users/{id}' }, forward: 'path' },
      { match: { path: '/client' }, forward: 'client' },
    ],
  })
})
after(async () => {
  await program?.stop()
  for (const origin of origins) await origin[Symbol.asyncDispose]()
})

const questions = {
  header: (user: string) => ({ path: '/header', headers: { 'x-user': user } }),
  cookie: (user: string) => ({ path: '/cookie', headers: { cookie: `theme=dark; session=${user}` } }),
  path: (user: string) => ({ path: `/users/${user}` }),
}

/** Where each value goes; fails where it goes to more than one. */
async function placesBy(kind: keyof typeof questions): Promise<Map<string, string>> {
  const places = new Map<string, string>()
  for (const user of users) {
    const answers = await Promise.all(Array.from({ length: callsEach }, () => ask(program.port, questions[kind](user))))
    const names = new Set(answers.map(({ headers }) => String(headers['x-origin'])))
    assert.equal(names.size, 1, `${user} goes to ${[...names].join()}`)
    places.set(user, [...names].join())
  }
  return places
}

async function untilState(name: string, state: 'usable' | 'unhealthy', count: number): Promise<void> {
  await program.untilTotal('turnpike_upstream_targets', { upstream: name, state }, count)
}

describe('hash', () => {
  for (const kind of ['header', 'cookie', 'path'] as const) {
    test(`by ${kind}: a value has its target in every worker, and only those of a sick one move`, async () => {
      const before = await placesBy(kind)
      assert.deepEqual(new Set(before.values()), new Set(['a', 'b', 'c']))
      sick.add(`b ${checkPath(kind)}`)
      await untilState(kind, 'unhealthy', 1)
      const during = await placesBy(kind)
      for (const user of users) {
        if (before.get(user) === 'b') assert.notEqual(during.get(user), 'b')
        else assert.equal(during.get(user), before.get(user))
      }
      sick.delete(`b ${checkPath(kind)}`)
      await untilState(kind, 'usable', 3)
      assert.deepEqual(await placesBy(kind), before)
    })
  }

  test('by client: one client has one target', async () => {
    await untilState('client', 'usable', 3)
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask(program.port, { path: '/client' })))
    assert.equal(new Set(answers.map(({ headers }) => headers['x-origin'])).size, 1)
  })

  test('a call without the cookie goes anywhere', async () => {
    const answers = await Promise.all(Array.from({ length: 60 }, () => ask(program.port, { path: '/cookie' })))
    assert.deepEqual(new Set(answers.map(({ headers }) => headers['x-origin'])), new Set(['a', 'b', 'c']))
  })
})
