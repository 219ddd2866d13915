// The header fields of a call that a service is told.

import type { Call } from '../../core/call.ts'

/** By name in lower case, several of one name joined; `send` null means all. `withBody` says that the body goes along whole. */
export function toldFields(call: Call, send: readonly string[] | null, withBody: boolean): Map<string, string> {
  const fields = new Map<string, string>()
  const { list } = call.headers
  const keys = send?.map(name => name.toLowerCase()) ?? list.filter((_, index) => index % 3 === 1)
  for (const key of new Set(keys)) {
    const values = call.headers.all(key)
    // RFC 6265 section 5.4: cookies are the one list without commas.
    if (values.length > 0) fields.set(key, values.join(key === 'cookie' ? '; ' : ', '))
  }
  // The contract has it say whether a body that is told was cut; none ever is.
  if (withBody) fields.set('x-envoy-auth-partial-body', 'false')
  return fields
}
