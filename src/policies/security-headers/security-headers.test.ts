import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { OptionsError } from '../../core/policy.ts'
import { Reply } from '../../core/reply.ts'
import { fakePorts, makeCall, makeNext } from '../../../test/tools/call.ts'
import { securityHeaders } from './security-headers.ts'

type Options = Parameters<typeof securityHeaders.build>[0]

const defaults: Options = {
  transportSecurity: { enabled: true, maxAge: 86_400_000, includeSubDomains: false, preload: false },
  contentTypeOptions: 'nosniff',
  referrerPolicy: 'strict-origin-when-cross-origin',
  frameOptions: 'DENY',
  permissionsPolicy: 'camera=()',
  openerPolicy: 'same-origin',
  resourcePolicy: 'same-origin',
  contentSecurityPolicy: false,
  removeServer: true,
  override: false,
}

async function fields(given: Partial<Options> = {}, upstream: Record<string, string> = {}, scheme = 'https' as const) {
  const next = makeNext(() => {
    const reply = Reply.empty(200)
    for (const [name, value] of Object.entries(upstream)) reply.headers.add(name, value)
    return reply
  })
  const step = securityHeaders.build({ ...defaults, ...given }, fakePorts(), { route: 'r', key: 'r' })(next)
  return Object.fromEntries([...(await step(makeCall({ peer: { scheme } }))).headers])
}

test('every field by default', async () => {
  assert.deepEqual(await fields(), {
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'strict-origin-when-cross-origin',
    'x-frame-options': 'DENY',
    'content-security-policy': "frame-ancestors 'none'",
    'permissions-policy': 'camera=()',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'strict-transport-security': 'max-age=86400',
  })
})

test('no Strict-Transport-Security over plain HTTP', async () => {
  const step = securityHeaders.build(defaults, fakePorts(), { route: 'r', key: 'r' })(makeNext(() => Reply.empty(200)))
  const reply = await step(makeCall())
  assert.equal(reply.headers.has('strict-transport-security'), false)
  const headers = { 'x-forwarded-proto': 'https' }
  const behindProxy = await step(makeCall({ headers, peer: { isTrusted: true } }))
  assert.equal(behindProxy.headers.has('strict-transport-security'), true)
  assert.ok(reply.headers.has('x-frame-options'))
})

test('each can be left out', async () => {
  const off = await fields({
    transportSecurity: { ...defaults.transportSecurity, enabled: false },
    contentTypeOptions: false,
    referrerPolicy: false,
    frameOptions: false,
    permissionsPolicy: false,
    openerPolicy: false,
    resourcePolicy: false,
  })
  assert.deepEqual(off, {})
})

test('what the upstream said stays, unless it is to be overridden', async () => {
  const upstream = { 'X-Frame-Options': 'SAMEORIGIN' }
  assert.equal((await fields({}, upstream))['X-Frame-Options'], 'SAMEORIGIN')
  assert.equal((await fields({}, upstream))['x-frame-options'], undefined)
  const overridden = await fields({ override: true }, upstream)
  assert.equal(overridden['X-Frame-Options'] ?? overridden['x-frame-options'], 'DENY')
})

test('names of server software go, unless they may stay', async () => {
  const upstream = { Server: 'origin/1.0', 'X-Powered-By': 'Words' }
  const gone = await fields({}, upstream)
  assert.equal(gone['Server'], undefined)
  assert.equal(gone['X-Powered-By'], undefined)
  assert.equal((await fields({ removeServer: false }, upstream))['Server'], 'origin/1.0')
})

test('frame-ancestors joins a policy that lacks it and stays out of one that has it', async () => {
  const joined = await fields({ contentSecurityPolicy: "default-src 'self'; ", frameOptions: 'SAMEORIGIN' })
  assert.equal(joined['content-security-policy'], "default-src 'self'; frame-ancestors 'self'")
  const own = 'frame-ancestors https://acme.test'
  assert.equal((await fields({ contentSecurityPolicy: own }))['content-security-policy'], own)
})

test('preload and subdomains are said, and preload without them is a mistake', async () => {
  const transportSecurity = { enabled: true, maxAge: 365 * 86_400_000, includeSubDomains: true, preload: true }
  const said = (await fields({ transportSecurity }))['strict-transport-security']
  assert.equal(said, 'max-age=31536000; includeSubDomains; preload')
  const short = { ...transportSecurity, maxAge: 1000 }
  assert.throws(() => securityHeaders.check?.({ ...defaults, transportSecurity: short }), OptionsError)
})

test('a value that could end its field is refused', () => {
  fc.assert(
    fc.property(fc.string(), fc.constantFrom('\r', '\n', '\0'), fc.string(), (before, mark, after) => {
      const given = { ...defaults, referrerPolicy: before + mark + after }
      assert.throws(() => securityHeaders.check?.(given), OptionsError)
    }),
  )
  assert.throws(() => securityHeaders.check?.({ ...defaults, frameOptions: 'ALLOW-FROM x' }), OptionsError)
})
