// The policy `cors`: lets pages of other origins call, by the CORS protocol of the Fetch standard.

import type { Call } from '../../core/call.ts'
import type { Headers } from '../../core/headers.ts'
import { isHttpName } from '../../core/http-name.ts'
import { definePolicy, OptionsError } from '../../core/policy.ts'
import { Reply } from '../../core/reply.ts'
import { Duration, Fields, OneOrMany, type Static, Type } from '../../core/schema.ts'
import { addVary } from '../../core/vary.ts'
import { checkOrigin, compileOrigins } from './origins.ts'

const options = Fields({
  origins: OneOrMany(Type.String(), {
    minItems: 1,
    description: 'Origins that may call: exact, with a wildcard for any name below a domain, or `*` for all.',
    examples: ['https://shop.acme.test', 'https://*.acme.test', '*'],
  }),
  methods: OneOrMany(Type.String(), {
    default: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    description: 'Methods that may be used; `*` for any.',
  }),
  headers: OneOrMany(Type.String(), {
    default: ['*'],
    description: 'Request header fields that may be sent; `*` for any, Authorization included.',
  }),
  exposedHeaders: OneOrMany(Type.String(), {
    default: [],
    description:
      'Reply header fields that the page may read besides the safelisted ones; `*` only without credentials.',
  }),
  credentials: Type.Boolean({ default: false, description: 'Whether cookies and HTTP authentication may be sent.' }),
  maxAge: Duration({ default: '10m', description: 'How long the browser may remember the answer to a preflight.' }),
})

type Options = Static<typeof options>

export const cors = definePolicy({
  name: 'cors',
  summary: 'Lets pages of other origins call, by the CORS protocol of the Fetch standard.',
  options,
  check,
  build(given) {
    const isOpen = given.origins.includes('*')
    const allows = compileOrigins(given.origins)
    const exposed = given.exposedHeaders.join(', ')
    const preflight = compilePreflight(given)

    /** Says who may read the reply. A reply that differs by origin says so to caches, also when nobody may read it. */
    function grant(headers: Headers, origin: string | undefined): boolean {
      if (!isOpen) addVary(headers, 'Origin')
      if (!isOpen && (origin === undefined || !allows(origin))) return false
      headers.add('access-control-allow-origin', isOpen || origin === undefined ? '*' : origin)
      if (given.credentials) headers.add('access-control-allow-credentials', 'true')
      return true
    }

    return next => {
      return async function cors(call) {
        const origin = call.headers.get('origin')
        if (isPreflight(call, origin)) {
          const reply = Reply.empty(204)
          if (grant(reply.headers, origin)) preflight(call, reply.headers)
          return reply
        }
        const reply = await next(call)
        removeCorsFields(reply.headers)
        if (grant(reply.headers, origin) && exposed !== '') {
          reply.headers.add('access-control-expose-headers', exposed)
        }
        return reply
      }
    }
  },
})

/** Fetch standard, "CORS-preflight fetch": other OPTIONS calls are for the upstream. */
function isPreflight(call: Call, origin: string | undefined): boolean {
  return call.method === 'OPTIONS' && origin !== undefined && call.headers.has('access-control-request-method')
}

/** Writes what may be sent. Where any name is allowed the wish is repeated, because `*` is no wildcard with credentials. */
function compilePreflight({ methods, headers, maxAge }: Options): (call: Call, headers: Headers) => void {
  const fixedMethods = methods.includes('*') ? null : methods.join(', ')
  const fixedHeaders = headers.includes('*') ? null : headers.join(', ')
  const seconds = String(Math.floor(maxAge / 1000))
  return (call, fields) => {
    const allowedMethods = fixedMethods ?? namesIn(call, 'access-control-request-method')
    const allowedHeaders = fixedHeaders ?? namesIn(call, 'access-control-request-headers')
    if (fixedMethods === null) addVary(fields, 'Access-Control-Request-Method')
    if (fixedHeaders === null) addVary(fields, 'Access-Control-Request-Headers')
    if (allowedMethods !== '') fields.add('access-control-allow-methods', allowedMethods)
    if (allowedHeaders !== '') fields.add('access-control-allow-headers', allowedHeaders)
    fields.add('access-control-max-age', seconds)
  }
}

/** A list of names from the client, empty when it is anything else. */
function namesIn(call: Call, key: string): string {
  const text = call.headers.get(key) ?? ''
  return /^[!#$%&'*+.^_`|~0-9A-Za-z, \t-]*$/.test(text) ? text : ''
}

/** The policy alone speaks for the gateway: what the upstream said about CORS would contradict it. */
function removeCorsFields(headers: Headers): void {
  const { list } = headers
  for (let i = list.length - 2; i > 0; i -= 3) {
    if (list[i]?.startsWith('access-control-') === true) list.splice(i - 1, 3)
  }
}

const safelistedMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

function check({ origins, methods, headers, exposedHeaders, credentials }: Options): void {
  for (const [index, origin] of origins.entries()) checkOrigin(origin, credentials, ['origins', index])
  if (origins.includes('*') && origins.length > 1) {
    throw new OptionsError('`*` stands beside other origins', ['origins'], 'Write `*` alone, or leave it out.')
  }
  const lists = { methods, headers, exposedHeaders }
  for (const [key, names] of Object.entries(lists)) {
    for (const [index, name] of names.entries()) {
      if (isHttpName(name)) continue
      const hint = 'Write each name as an item of its own.'
      throw new OptionsError(`${JSON.stringify(name)} is not a name`, [key, index], hint)
    }
  }
  for (const [index, method] of methods.entries()) {
    const upper = method.toUpperCase()
    if (method === upper || !safelistedMethods.has(upper)) continue
    throw new OptionsError(`methods are case-sensitive: \`${method}\``, ['methods', index], `Write \`${upper}\`.`)
  }
  if (credentials && exposedHeaders.includes('*')) {
    const hint = 'Name the fields, or set `credentials: false`.'
    throw new OptionsError('`*` exposes nothing when credentials are allowed', ['exposedHeaders'], hint)
  }
}
