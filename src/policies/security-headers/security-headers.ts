// The policy `security-headers`: tells browsers to be careful with what comes from here.

import type { Call } from '../../core/call.ts'
import type { Headers } from '../../core/headers.ts'
import { definePolicy, OptionsError } from '../../core/policy.ts'
import { Duration, Fields, type Static, type TSchema, Type } from '../../core/schema.ts'
import { schemeOf } from '../../core/scheme-of.ts'

/** A value, or `false` to leave the field alone. */
function OrOff<T extends TSchema>(value: T, fallback: Static<T> | false, description: string) {
  return Type.Unsafe<Static<T> | false>({
    anyOf: [value, { const: false, type: 'boolean' }],
    default: fallback,
    description,
  })
}

const options = Fields({
  transportSecurity: Fields(
    {
      enabled: Type.Boolean({ default: true, description: 'Whether the field is sent.' }),
      maxAge: Duration({ default: '365d', description: 'How long browsers use HTTPS alone.' }),
      includeSubDomains: Type.Boolean({ default: false, description: 'Also for every name below this one.' }),
      preload: Type.Boolean({ default: false, description: 'Agrees to the lists that browsers ship with.' }),
    },
    {
      default: {},
      description: 'Strict-Transport-Security, on calls over TLS only, as RFC 6797 demands.',
    },
  ),
  contentTypeOptions: OrOff(Type.String(), 'nosniff', 'X-Content-Type-Options, or `false`.'),
  referrerPolicy: OrOff(Type.String(), 'strict-origin-when-cross-origin', 'Referrer-Policy, or `false`.'),
  frameOptions: OrOff(
    Type.String(),
    'DENY',
    'X-Frame-Options: `DENY`, `SAMEORIGIN` or `false`. The same is said by `frame-ancestors` where no Content-Security-Policy is.',
  ),
  permissionsPolicy: OrOff(
    Type.String(),
    'camera=(), geolocation=(), microphone=()',
    'Permissions-Policy, or `false`.',
  ),
  openerPolicy: OrOff(Type.String(), 'same-origin', 'Cross-Origin-Opener-Policy, or `false`.'),
  resourcePolicy: OrOff(Type.String(), 'same-origin', 'Cross-Origin-Resource-Policy, or `false`.'),
  contentSecurityPolicy: OrOff(
    Type.String(),
    false,
    'Content-Security-Policy; it depends on the pages, so there is none by default but `frame-ancestors`.',
  ),
  removeServer: Type.Boolean({ default: true, description: 'Removes Server and X-Powered-By of the upstream.' }),
  override: Type.Boolean({
    default: false,
    description: 'Whether fields of the upstream are replaced; else they stay.',
  }),
})

type Options = Static<typeof options>
type Field = readonly [name: string, key: string, value: string]

export const securityHeaders = definePolicy({
  name: 'security-headers',
  summary: 'Tells browsers to be careful: HTTPS only, no sniffing, no frames, no foreign openers.',
  options,
  check,
  build(given) {
    const plain = fieldsOf(given)
    const secure = [...plain, ...transportSecurityOf(given)]
    return next =>
      async function securityHeaders(call: Call) {
        const isSecure = schemeOf(call) === 'https'
        const reply = await next(call)
        const { headers } = reply
        if (given.removeServer) {
          headers.delete('server')
          headers.delete('x-powered-by')
        }
        write(headers, isSecure ? secure : plain, given.override)
        return reply
      }
  },
})

function write(headers: Headers, fields: readonly Field[], isOverriding: boolean): void {
  for (const [name, key, value] of fields) {
    if (isOverriding) headers.set(name, value)
    else if (!headers.has(key)) headers.list.push(name, key, value)
  }
}

function fieldsOf(given: Options): Field[] {
  const table: readonly (readonly [string, string | false])[] = [
    ['x-content-type-options', given.contentTypeOptions],
    ['referrer-policy', given.referrerPolicy],
    ['x-frame-options', given.frameOptions],
    ['content-security-policy', policyOf(given)],
    ['permissions-policy', given.permissionsPolicy],
    ['cross-origin-opener-policy', given.openerPolicy],
    ['cross-origin-resource-policy', given.resourcePolicy],
  ]
  return table.flatMap(([name, value]) => (value === false ? [] : [[name, name, value] as const]))
}

/** Browsers that know `frame-ancestors` heed it before X-Frame-Options, so both say the same. */
function policyOf({ contentSecurityPolicy, frameOptions }: Options): string | false {
  const own = contentSecurityPolicy === false ? '' : contentSecurityPolicy
  if (frameOptions === false || /(?:^|;)\s*frame-ancestors\s/i.test(own)) return own === '' ? false : own
  const ancestors = `frame-ancestors ${frameOptions === 'DENY' ? "'none'" : "'self'"}`
  return own === '' ? ancestors : `${own.replace(/[\s;]+$/, '')}; ${ancestors}`
}

function transportSecurityOf({ transportSecurity: { enabled, maxAge, includeSubDomains, preload } }: Options): Field[] {
  if (!enabled) return []
  const parts = [`max-age=${Math.floor(maxAge / 1000)}`]
  if (includeSubDomains) parts.push('includeSubDomains')
  if (preload) parts.push('preload')
  return [['strict-transport-security', 'strict-transport-security', parts.join('; ')]]
}

/** What the preload lists ask for at least. */
const preloadMsMin = 365 * 86_400_000

function check(given: Options): void {
  const { frameOptions, transportSecurity } = given
  if (frameOptions !== false && frameOptions !== 'DENY' && frameOptions !== 'SAMEORIGIN') {
    throw new OptionsError(
      `X-Frame-Options knows no \`${frameOptions}\``,
      ['frameOptions'],
      'Write `DENY` or `SAMEORIGIN`.',
    )
  }
  const { preload, includeSubDomains, maxAge, enabled } = transportSecurity
  if (enabled && preload && (!includeSubDomains || maxAge < preloadMsMin)) {
    const hint = 'Set `includeSubDomains: true` and a `maxAge` of at least `365d`.'
    throw new OptionsError('browsers take no such field into their lists', ['transportSecurity', 'preload'], hint)
  }
  for (const [key, value] of Object.entries(given)) {
    if (typeof value !== 'string' || /^[\t -~]+$/.test(value)) continue
    throw new OptionsError(`\`${key}\` is no value of a header field`, [key], 'Write printable ASCII, or `false`.')
  }
}
