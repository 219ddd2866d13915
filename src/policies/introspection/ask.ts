// One question to the issuer per token at a time, and what its answer means.

import type { Place, PolicyPorts } from '../../core/policy.ts'
import type { Principal } from '../../core/principal.ts'
import { sparingWarning } from '../../core/sparing-warning.ts'
import { strictObject } from '../../identity/strict-json.ts'
import { principalOf } from '../../identity/token-principal.ts'

/** What the issuer said. */
export interface Answer {
  /** Null for a token that is not good here. */
  readonly principal: Principal | null
  /** Why not, for the log. */
  readonly reason: string
  /** How long it holds, milliseconds since the epoch. */
  readonly untilMs: number
}

export interface AskOptions {
  readonly url: string
  readonly client: { readonly id: string; readonly secret: string; readonly method: 'basic' | 'post' }
  readonly issuer: readonly string[]
  readonly audience: readonly string[]
  readonly ttl: number
  readonly refusedTtl: number
  readonly timeout: number
}

type Claims = Readonly<Record<string, unknown>>

const bytesMax = 65_536
/** Questions at once, per policy and worker. */
const pendingMax = 256

/** Null where the issuer cannot be asked or gives no proper answer. Never rejects. */
export function createAsker(
  options: AskOptions,
  ports: PolicyPorts,
  place: Place,
  remember: (token: string, answer: Answer) => void,
): (token: string) => Promise<Answer | null> {
  const busy = ports.meter.counter('turnpike_ceiling_hits', { ceiling: 'introspection-questions', name: place.route })
  const warn = sparingWarning(ports, 'the introspection endpoint gave no answer')
  const pending = new Map<string, Promise<Answer | null>>()
  const run = async (token: string): Promise<Answer | null> => {
    try {
      const answer = judge(await question(token, options, ports), options, ports.clock.wall())
      remember(token, answer)
      return answer
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      warn({ route: place.route, reason })
      return null
    } finally {
      pending.delete(token)
    }
  }
  return token => {
    const shared = pending.get(token)
    if (shared !== undefined) return shared
    if (pending.size >= pendingMax) {
      busy.add(1)
      return Promise.resolve(null)
    }
    const promise = run(token)
    pending.set(token, promise)
    return promise
  }
}

async function question(token: string, { url, client, timeout }: AskOptions, ports: PolicyPorts): Promise<Claims> {
  const isBasic = client.method === 'basic'
  const form = new URLSearchParams({ token, token_type_hint: 'access_token' })
  if (!isBasic) {
    form.set('client_id', client.id)
    form.set('client_secret', client.secret)
  }
  // RFC 6749 §2.3.1: both are encoded as a form before they are joined.
  const pair = `${formEncode(client.id)}:${formEncode(client.secret)}`
  const reply = await ports.outside.fetch({
    method: 'POST',
    url,
    headers: {
      accept: 'application/json',
      'content-type': 'application/x-www-form-urlencoded',
      ...(isBasic && { authorization: `Basic ${Buffer.from(pair).toString('base64')}` }),
    },
    body: form.toString(),
    timeoutMs: timeout,
    bodyBytesMax: bytesMax,
    isRepeatable: true,
  })
  if (reply.status !== 200) throw new Error(`the server answered ${reply.status}`)
  const claims = strictObject(reply.body)
  if (claims === null || typeof claims.active !== 'boolean') throw new Error('the answer is no introspection reply')
  return claims
}

function judge(claims: Claims, options: AskOptions, nowMs: number): Answer {
  const refused = (reason: string) => ({ principal: null, reason, untilMs: nowMs + options.refusedTtl })
  if (claims.active !== true) return refused('the token is not active')
  const { exp, nbf, iss, aud, sub, client_id: client } = claims
  if (exp !== undefined && (typeof exp !== 'number' || exp * 1000 <= nowMs)) return refused('the token has expired')
  if (nbf !== undefined && (typeof nbf !== 'number' || nbf * 1000 > nowMs)) return refused('the token is not valid yet')
  if (options.issuer.length > 0 && !options.issuer.some(name => name === iss)) return refused('another issuer')
  const audiences: readonly unknown[] = Array.isArray(aud) ? aud : [aud]
  if (options.audience.length > 0 && !options.audience.some(name => audiences.includes(name))) {
    return refused('another audience')
  }
  const issuer = typeof iss === 'string' ? iss : new URL(options.url).origin
  const subject = typeof sub === 'string' ? sub : typeof client === 'string' ? client : ''
  const untilMs = Math.min(nowMs + options.ttl, typeof exp === 'number' ? exp * 1000 : Infinity)
  return { principal: principalOf('introspection', issuer, subject, claims), reason: '', untilMs }
}

function formEncode(text: string): string {
  return new URLSearchParams([['', text]]).toString().slice(1)
}
