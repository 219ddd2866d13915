import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import type { AcmeBlueprint } from '../core/blueprint.ts'
import type { Outside, OutsideReply, OutsideRequest } from '../core/outside.ts'
import { createIssuer, IssueFailed } from './issuer.ts'

const origin = 'https://acme.test'
const acme: AcmeBlueprint = {
  ...{ directory: `${origin}/directory`, agreeToTerms: true, email: null, externalAccount: null },
  ...{ renewBefore: null, retry: 60_000 },
}

/** A server that answers as it is told, and all that it was asked. */
function serverOf(answer: (request: OutsideRequest) => OutsideReply | Promise<OutsideReply>) {
  const asked: string[] = []
  const outside: Outside = {
    fetch: async request => {
      asked.push(`${request.method} ${request.url.slice(origin.length)}`)
      return answer(request)
    },
    rpc: () => Promise.reject(new Error('no gRPC here')),
  }
  let key: string | null = null
  const vault = {
    account: () => key,
    keepAccount: (given: string) => void (key = given),
    pair: () => null,
    keepPair: () => {},
  }
  const challenges = { answer: async () => {}, forget: () => {} }
  return { asked, issue: createIssuer(acme, { outside, vault, challenges }) }
}

function replyOf(body: object, headers: Record<string, string> = {}, status = 200): OutsideReply {
  const all = { 'content-type': 'application/json', 'replay-nonce': 'n', ...headers }
  return { status, headers: all, body: Buffer.from(JSON.stringify(body)) }
}

const directory = { newNonce: `${origin}/nonce`, newAccount: `${origin}/account`, newOrder: `${origin}/order` }

async function failureOf(issued: Promise<unknown>): Promise<IssueFailed> {
  const failure: unknown = await issued.then(
    () => null,
    (error: unknown) => error,
  )
  assert.ok(failure instanceof IssueFailed)
  return failure
}

describe('the issuer', () => {
  for (const [said, ms] of [
    ['3600', 3_600_000],
    ['999999999', 86_400_000],
    ['Fri, 31 Dec 9999 23:59:59 GMT', 86_400_000],
    ['soon', 0],
  ] as const) {
    test(`Retry-After: ${said}: the server is left alone for ${ms / 1000} s`, async () => {
      const { issue } = serverOf(({ url }) => {
        if (url === acme.directory) return replyOf(directory)
        return url.endsWith('/account') ? replyOf({}, { 'retry-after': said }, 429) : replyOf({})
      })
      assert.equal((await failureOf(issue('a.test'))).retryAfterMs, ms)
    })
  }

  test('a server that never answers is given up, and asked no more for what was given up', async t => {
    // The library is large, and comes before the clock stands still.
    await import('acme-client')
    t.mock.timers.enable({ apis: ['setTimeout'] })
    const directoryComes = Promise.withResolvers<OutsideReply>()
    const { asked, issue } = serverOf(({ url }) => {
      return url === acme.directory ? directoryComes.promise : Promise.reject(new Error('gone'))
    })
    const failure = failureOf(issue('a.test'))
    while (asked.length === 0) await turn()
    t.mock.timers.tick(180_000)
    assert.match((await failure).message, /^no certificate within 180 s$/)
    directoryComes.resolve(replyOf(directory))
    for (let i = 0; i < 50; i++) await turn()
    assert.deepEqual(asked, ['GET /directory'])
  })
})
