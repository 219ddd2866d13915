// The policy `csrf`: lets no other site act with the cookies of its visitors.

import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto'
import type { Call } from '../../core/call.ts'
import { isHttpName } from '../../core/http-name.ts'
import { definePolicy, OptionsError } from '../../core/policy.ts'
import { Reply } from '../../core/reply.ts'
import { Choice, Fields, Maybe, OneOrMany, type Static, Secret, Type } from '../../core/schema.ts'
import { schemeOf } from '../../core/scheme-of.ts'
import { cookieOf } from '../../core/cookie.ts'

const options = Fields({
  origins: OneOrMany(Type.String(), {
    default: [],
    description: 'Other origins whose pages may act, exactly as browsers write them. The own origin always may.',
    examples: ['https://shop.acme.test'],
  }),
  withoutOrigin: Choice(['refuse', 'allow'], {
    default: 'refuse',
    description:
      'What happens to unsafe calls with none of Sec-Fetch-Site, Origin and Referer. All browsers of today send one of them.',
  }),
  token: Maybe(
    Fields(
      {
        secret: Secret({ minLength: 32, description: 'What tokens are made with, 32 characters at least.' }),
        session: Type.String({ minLength: 1, description: 'Name of the cookie that holds the session.' }),
        cookie: Type.String({
          default: 'csrf-token',
          description: 'Name of the cookie that pages read the token from.',
        }),
        header: Type.String({ default: 'X-CSRF-Token', description: 'Name of the field that pages repeat it in.' }),
      },
      { description: 'Asks pages for a token too that is bound to the session; none where it is not written.' },
    ),
  ),
})

type Options = Static<typeof options>

export const csrf = definePolicy({
  name: 'csrf',
  summary: 'Refuses calls of other sites that would act with the cookies of their visitors.',
  options,
  check,
  build(given) {
    const allowed = new Set(given.origins)
    const isMissingFine = given.withoutOrigin === 'allow'
    const token = given.token === null ? null : compileToken(given.token)
    return next => {
      function csrf(call: Call): Promise<Reply> {
        if (isSafe(call)) return token === null ? next(call) : token.offer(call, next(call))
        const reason = judgeOrigin(call, allowed, isMissingFine) ?? token?.judge(call) ?? null
        if (reason === null) return next(call)
        call.refusal = reason
        return Promise.resolve(Reply.problem('csrf-refused'))
      }
      return csrf
    }
  },
})

/** RFC 9110 §9.2.1. A WebSocket begins with GET, from any page, and may do anything from then on. */
function isSafe({ method, upgrade }: Call): boolean {
  return upgrade === '' && (method === 'GET' || method === 'HEAD' || method === 'OPTIONS' || method === 'TRACE')
}

/** Why the page that makes this call may not; null where it may. */
function judgeOrigin(call: Call, allowed: ReadonlySet<string>, isMissingFine: boolean): string | null {
  const origins = call.headers.all('origin')
  if (origins.length > 1) return 'several Origin fields'
  const [origin] = origins
  if (origin !== undefined && origin !== 'null' && allowed.has(origin)) return null
  // A browser alone writes this field, and says for itself whose page calls: it is right behind proxies that change Host too.
  const site = call.headers.get('sec-fetch-site')
  if (site === 'same-origin' || site === 'none') return null
  if (site !== undefined)
    return `called from another site (${origin === undefined ? 'no Origin' : 'Origin not allowed'})`
  const source = origin ?? originOfReferer(call)
  if (source === undefined) return isMissingFine ? null : 'neither Sec-Fetch-Site, Origin nor Referer'
  return source === ownOrigin(call) || allowed.has(source) ? null : 'Origin or Referer is another'
}

function originOfReferer(call: Call): string | undefined {
  const referer = call.headers.get('referer')
  return referer === undefined ? undefined : (URL.parse(referer)?.origin ?? 'null')
}

function ownOrigin(call: Call): string | undefined {
  const host = call.headers.get('host')
  return host === undefined ? undefined : URL.parse(`${schemeOf(call)}://${host}`)?.origin
}

type TokenOptions = NonNullable<Options['token']>

/** A double-submit token that is made of the session, so that a planted cookie of a neighbouring host is of no use. */
function compileToken({ secret, session, cookie, header }: TokenOptions) {
  const key = Buffer.from(hkdfSync('sha256', secret, '', 'turnpike csrf', 32))
  const field = header.toLowerCase()
  const tokenOf = (value: string) => createHmac('sha256', key).update(value).digest('base64url')
  return {
    /** Hands the token to a page of this session that has none yet, or another's. */
    async offer(call: Call, answer: Promise<Reply>): Promise<Reply> {
      const value = cookieOf(call.headers, session)
      const held = cookieOf(call.headers, cookie)
      const reply = await answer
      if (value === undefined) return reply
      const token = tokenOf(value)
      if (held !== undefined && isEqual(held, token)) return reply
      const isSecure = schemeOf(call) === 'https'
      reply.headers.add('set-cookie', `${cookie}=${token}; Path=/; SameSite=Strict${isSecure ? '; Secure' : ''}`)
      return reply
    },
    judge(call: Call): string | null {
      const value = cookieOf(call.headers, session)
      // Without a session there is nothing that another site could act with. Pages cannot add fields to a WebSocket's call.
      if (value === undefined || call.upgrade !== '') return null
      const presented = call.headers.get(field)
      if (presented === undefined) return 'no CSRF token'
      return isEqual(presented, tokenOf(value)) ? null : 'CSRF token of another session'
    },
  }
}

function isEqual(presented: string, wanted: string): boolean {
  const left = Buffer.from(presented)
  const right = Buffer.from(wanted)
  return left.length === right.length && timingSafeEqual(left, right)
}

function check({ origins, token }: Options): void {
  for (const [index, origin] of origins.entries()) {
    if (URL.parse(origin)?.origin === origin && /^https?:/.test(origin)) continue
    const hint = 'Write scheme, host and port alone, such as `https://shop.acme.test`.'
    throw new OptionsError(`\`${origin}\` is no origin`, ['origins', index], hint)
  }
  if (token === null) return
  for (const key of ['session', 'cookie', 'header'] as const) {
    if (isHttpName(token[key])) continue
    throw new OptionsError(`\`${token[key]}\` is no name`, ['token', key], 'Write letters, digits, `-` and `_`.')
  }
}
