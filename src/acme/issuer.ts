// Gets one certificate from an ACME server (RFC 8555): account, order, challenge, certificate. The protocol is acme-client's.

import { AsyncLocalStorage } from 'node:async_hooks'
import { generateKeyPairSync } from 'node:crypto'
import type { Client } from 'acme-client'
import type { AcmeBlueprint } from '../core/blueprint.ts'
import type { Outside, OutsideReply } from '../core/outside.ts'
import { certificatesIn, judgePair, type Pair } from './pair.ts'
import type { Vault } from './vault.ts'

/** Tells the servers of the gateway what to answer when a name is to be proven (RFC 8555 §8.3). */
export interface Challenges {
  /** Resolves when every worker knows. */
  answer(token: string, keyAuthorization: string): Promise<void>
  forget(token: string): void
}

export interface IssuerPorts {
  readonly outside: Outside
  readonly vault: Vault
  readonly challenges: Challenges
}

/** Why there is no certificate; for people. */
export class IssueFailed extends Error {
  /** How long the server wants to be left alone; 0 where it does not say. */
  readonly retryAfterMs: number

  constructor(message: string, retryAfterMs: number, options?: ErrorOptions) {
    super(message, options)
    this.name = 'IssueFailed'
    this.retryAfterMs = retryAfterMs
  }
}

/** A certificate for a name, judged and not yet kept. Rejects with `IssueFailed`. One at a time. */
export type Issue = (name: string) => Promise<Pair>

const exchangeMsMax = 30_000
/** Directories, orders and chains of certificates are a few kilobytes. */
const replyBytesMax = 1_000_000
/** From the account to the certificate; the server has to look at the name in between. */
const issueMsMax = 180_000
/** How often an order is looked at: at once, then in growing steps up to the greater. About a minute in all. */
const polling = { backoffAttempts: 12, backoffMin: 250, backoffMax: 8_000 } as const

/** An order of one name has one proof; whoever names more is sent no more requests than this. */
const authorizationsMax = 4
/** Whatever the server says: it is asked again after a day. */
const retryAfterMsMax = 86_400_000

/** What the exchanges of one issuance go through, and what they tell. */
interface Errand {
  readonly outside: Outside
  readonly directory: string
  retryAfterMs: number
  /** It got its answer, or time ran out: what the library still does for it goes nowhere. */
  isOver: boolean
}

/** The library has one HTTP client for the whole process: this says whose exchange it makes. */
const errands = new AsyncLocalStorage<Errand>()

export function createIssuer(acme: AcmeBlueprint, ports: IssuerPorts): Issue {
  let account: Promise<Client> | null = null
  return name => {
    const errand: Errand = { outside: ports.outside, directory: acme.directory, retryAfterMs: 0, isOver: false }
    return errands.run(errand, async () => {
      try {
        account ??= openAccount(acme, ports.vault)
        return await withinTime(account.then(client => issue(client, name, ports.challenges)))
      } catch (error) {
        // The next attempt asks for the account anew: the server may have lost it.
        account = null
        throw new IssueFailed(reasonOf(error), errand.retryAfterMs, { cause: error })
      } finally {
        errand.isOver = true
      }
    })
  }
}

/** The library comes in here, and only where it is needed: it is large. */
async function openAccount(acme: AcmeBlueprint, vault: Vault): Promise<Client> {
  const library = await import('acme-client')
  library.axios.defaults.adapter = askOutside
  // Whether and when to try again is the keeper's to say.
  Object.assign(library.axios.defaults, { acmeSettings: { retryMaxAttempts: 0, retryDefaultDelay: 1 } })
  let key = vault.account()
  if (key === null) {
    key = newKey()
    // Before the server knows it: an account whose key is lost is lost.
    vault.keepAccount(key)
  }
  const { externalAccount, email, directory } = acme
  const client = new library.Client({
    ...{ directoryUrl: directory, accountKey: key, ...polling },
    ...(externalAccount !== null && {
      externalAccountBinding: { kid: externalAccount.keyId, hmacKey: externalAccount.hmacKey },
    }),
  })
  // With a key that the server knows this finds its account (RFC 8555 §7.3.1).
  await client.createAccount({
    termsOfServiceAgreed: acme.agreeToTerms,
    ...(email !== null && { contact: [`mailto:${email}`] }),
  })
  return client
}

async function issue(client: Client, name: string, challenges: Challenges): Promise<Pair> {
  const { crypto } = await import('acme-client')
  const order = await client.createOrder({ identifiers: [{ type: 'dns', value: name }] })
  if (!Array.isArray(order.authorizations) || order.authorizations.length > authorizationsMax) {
    throw new Error(`the server asks for other proofs than one of ${name}`)
  }
  for (const authorization of await client.getAuthorizations(order)) {
    const { value } = authorization.identifier
    if (value.toLowerCase() !== name.toLowerCase()) throw new Error(`the server asks to prove ${value}, not ${name}`)
    if (authorization.status === 'valid') continue
    const challenge = authorization.challenges.find(({ type }) => type === 'http-01')
    if (challenge === undefined) throw new Error(`the server offers no http-01 challenge for ${name}`)
    const { token } = challenge
    if (!/^[A-Za-z0-9_-]{1,256}$/.test(token)) throw new Error('the server gave a token that is none')
    await challenges.answer(token, await client.getChallengeKeyAuthorization(challenge))
    try {
      await client.completeChallenge(challenge)
      await client.waitForValidStatus(challenge)
    } finally {
      challenges.forget(token)
    }
  }
  const key = newKey()
  const [, request] = await crypto.createCsr({ altNames: [name] }, key)
  const cert = certificatesIn(await client.getCertificate(await client.finalizeOrder(order, request)))
  const pair = { cert, key }
  judgePair(pair, name)
  return pair
}

function newKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return privateKey.export({ type: 'pkcs8', format: 'pem' })
}

async function withinTime<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no certificate within ${issueMsMax / 1000} s`)), issueMsMax)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

/** What axios asks an adapter for, as far as it matters here. */
interface Asked {
  readonly url?: string | undefined
  readonly method?: string | undefined
  readonly data?: unknown
  readonly headers: { toJSON(): object }
}

/** Every exchange of the library goes by the rules for what the gateway asks of other servers. */
async function askOutside<C extends Asked>(config: C) {
  const errand = errands.getStore()
  if (errand === undefined) throw new Error('an exchange that belongs to no errand')
  if (errand.isOver) throw new Error('an exchange of an errand that is over')
  const { url = '', method = 'get', data } = config
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(config.headers.toJSON())) headers[name.toLowerCase()] = String(value)
  // The length is that of the body, and codings are not undone.
  for (const name of ['content-length', 'accept-encoding']) delete headers[name]
  const reply = await errand.outside.fetch({
    ...{ method: method.toUpperCase(), url, headers, timeoutMs: exchangeMsMax, bodyBytesMax: replyBytesMax },
    ...(typeof data === 'string' && { body: data }),
    // Every other URL was named by the server.
    ...(url !== errand.directory && { namedBy: errand.directory }),
  })
  errand.retryAfterMs = retryAfterMs(reply)
  return {
    data: reply.body.toString('utf8'),
    status: reply.status,
    statusText: '',
    headers: { ...reply.headers },
    config,
  }
}

/** RFC 9110 §10.2.3, on refusals alone: an order that is under way has one too. */
function retryAfterMs({ status, headers }: OutsideReply): number {
  const text = headers['retry-after']
  if (status < 400 || text === undefined) return 0
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now()
  return ms > 0 ? Math.min(ms, retryAfterMsMax) : 0
}

function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return text.replaceAll(/\s+/g, ' ').slice(0, 1000)
}
