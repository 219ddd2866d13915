import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeCall } from '../../test/tools/call.ts'
import { schemeOf } from './scheme-of.ts'

for (const [what, forwarded, isTrusted, scheme] of [
  ['what the connection is', undefined, false, 'http'],
  ['what a trusted proxy says', 'https', true, 'https'],
  ['not what anybody says', 'https', false, 'http'],
  ['not what is no scheme', 'https, http', true, 'http'],
] as const) {
  test(what, () => {
    const headers = forwarded === undefined ? {} : { 'x-forwarded-proto': forwarded }
    assert.equal(schemeOf(makeCall({ headers, peer: { isTrusted } })), scheme)
  })
}
