// The accounts service: customers, who called, and a statement that takes as long as it is asked to.

import { setTimeout as delay } from 'node:timers/promises'
import { readJson, Refusal, sendJson, serve } from '../http.ts'

interface Account {
  readonly id: string
  readonly name: string
  readonly email: string
  readonly city: string
}

const accounts = new Map<string, Account>(
  [
    { id: 'ada', name: 'Ada Byron', email: 'ada@customers.example', city: 'London' },
    { id: 'grace', name: 'Grace Murray', email: 'grace@customers.example', city: 'New York' },
    { id: 'alan', name: 'Alan Mathison', email: 'alan@customers.example', city: 'Manchester' },
  ].map(account => [account.id, account]),
)

serve('accounts', {
  'GET /accounts/:id': ({ response, params }) => sendJson(response, 200, find(params.id)),

  'PATCH /accounts/:id': async ({ request, response, params }) => {
    const account = find(params.id)
    const { city } = ((await readJson(request)) ?? {}) as { city?: unknown }
    if (typeof city !== 'string' || city === '')
      throw new Refusal(422, 'Only `city` may be changed, and must not be empty.')
    const changed = { ...account, city }
    accounts.set(account.id, changed)
    sendJson(response, 200, changed)
  },

  // Shows what the gateway added: whose call it is, and the ids to find it in the logs by.
  'GET /accounts/:id/visit': ({ request, response, params }) => {
    const { headers } = request
    sendJson(response, 200, {
      account: find(params.id).id,
      forwardedFor: headers['x-forwarded-for'] ?? null,
      requestId: headers['x-request-id'] ?? null,
      tenant: headers['x-tenant'] ?? null,
    })
  },

  'GET /accounts/:id/statement': async ({ response, url, params }) => {
    const account = find(params.id)
    const seconds = Math.min(Number(url.searchParams.get('seconds') ?? 0) || 0, 60)
    await delay(seconds * 1000)
    sendJson(response, 200, { account: account.id, balanceCents: 12345, tookSeconds: seconds })
  },
})

function find(id = ''): Account {
  const account = accounts.get(id)
  if (account === undefined) throw new Refusal(404, `There is no account ${id}.`)
  return account
}
