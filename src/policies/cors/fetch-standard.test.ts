// The browser's side of the CORS protocol, written from the Fetch standard, as the judge of what the policy answers.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { Headers } from '../../core/headers.ts'
import { Reply } from '../../core/reply.ts'
import { fakePorts, makeCall } from '../../../test/tools/call.ts'
import { cors } from './cors.ts'

interface PageRequest {
  readonly origin: string
  readonly method: string
  /** Names of fields that are not safelisted, in lower case and sorted as the standard wants. */
  readonly fields: readonly string[]
  readonly withCredentials: boolean
}

/** "CORS check". */
function passesCheck(headers: Headers, { origin, withCredentials }: PageRequest): boolean {
  const allowed = headers.all('access-control-allow-origin').join(', ')
  if (!withCredentials && allowed === '*') return true
  if (allowed !== origin) return false
  return !withCredentials || headers.get('access-control-allow-credentials') === 'true'
}

/** "CORS-preflight fetch", step 7. */
function passesPreflight({ status, headers }: Reply, request: PageRequest): boolean {
  if (!passesCheck(headers, request) || status < 200 || status > 299) return false
  const listed = (key: string) => headers.all(key).flatMap(value => value.split(/\s*,\s*/))
  const methods = listed('access-control-allow-methods')
  const names = listed('access-control-allow-headers').map(name => name.toLowerCase())
  const { method, fields, withCredentials } = request
  const isSafelisted = ['GET', 'HEAD', 'POST'].includes(method)
  if (!methods.includes(method) && !isSafelisted && (withCredentials || !methods.includes('*'))) return false
  return fields.every(name => {
    if (names.includes(name)) return true
    return name !== 'authorization' && !withCredentials && names.includes('*')
  })
}

const answerEmpty = () => Promise.resolve(Reply.empty(200))

const options = fc.record({
  origins: fc.constantFrom<string[][]>(['https://shop.test'], ['https://*.acme.test', 'https://shop.test'], ['*']),
  methods: fc.constantFrom<string[][]>(['GET'], ['PUT', 'DELETE'], ['*']),
  headers: fc.constantFrom<string[][]>([], ['X-A', 'authorization'], ['x-a'], ['*']),
  exposedHeaders: fc.constant<string[]>([]),
  credentials: fc.boolean(),
  maxAge: fc.constant(0),
})

const pageRequest = fc.record({
  origin: fc.constantFrom('https://shop.test', 'https://a.acme.test', 'https://evil.test', 'null'),
  method: fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'QUERY'),
  fields: fc.subarray(['authorization', 'x-a', 'x-b']),
  withCredentials: fc.boolean(),
})

test('a browser lets through exactly what the options allow', async () => {
  await fc.assert(
    fc.asyncProperty(options, pageRequest, async (given, request) => {
      fc.pre(!(given.credentials && given.origins.includes('*')))
      const step = cors.build(given, fakePorts(), { route: 'r', key: 'r' })(answerEmpty)
      const { origin, method, fields } = request

      const known = ['https://shop.test', ...(given.origins.length > 1 ? ['https://a.acme.test'] : [])]
      const mayRead =
        (given.origins.includes('*') || known.includes(origin)) && (!request.withCredentials || given.credentials)
      const plain = await step(makeCall({ headers: { origin } }))
      assert.equal(passesCheck(plain.headers, request), mayRead)

      const asked = { origin, 'access-control-request-method': method }
      const more = fields.length === 0 ? {} : { 'access-control-request-headers': fields.join(',') }
      const preflight = await step(makeCall({ method: 'OPTIONS', headers: { ...asked, ...more } }))
      const allowed = given.headers.map(name => name.toLowerCase())
      const mayUse = ['GET', 'HEAD', 'POST', ...given.methods].includes(method) || given.methods.includes('*')
      const maySend = allowed.includes('*') || fields.every(name => allowed.includes(name))
      assert.equal(passesPreflight(preflight, request), mayRead && mayUse && maySend)
    }),
    { numRuns: 1000 },
  )
})
