// Parts of the principal as header fields for the upstream.

import type { Call } from '../core/call.ts'
import { isHttpName } from '../core/http-name.ts'
import { OptionsError } from '../core/policy.ts'
import type { Principal } from '../core/principal.ts'
import { Named, Type } from '../core/schema.ts'
import { compilePrincipalField } from './principal-field.ts'

/** The option `forward` of every authentication policy, which owns the fields of these names: see `PolicyDefinition.owns`. */
export const forwardOption = Named(Type.String(), {
  default: {},
  description:
    'Header fields for the upstream, by name: `X-Consumer: consumer.name`, `X-Tenant: claims.tenant`. Fields of these names from the client are dropped.',
})

/** The names, for `PolicyDefinition.owns`. */
export function ownedFields({ forward }: { readonly forward: Readonly<Record<string, string>> }): readonly string[] {
  return Object.keys(forward)
}

export interface ForwardFields {
  /** Writes the fields, in place of those that a policy further out may have written. */
  write(call: Call, principal: Principal): void
}

/** @throws OptionsError below `path` for a part that does not exist, or a name that is no header's. */
export function compileForwardFields(
  option: Readonly<Record<string, string>>,
  path: readonly (string | number)[] = ['forward'],
): ForwardFields {
  const fields = Object.entries(option).map(([name, text]) => {
    if (!isHttpName(name)) {
      throw new OptionsError(
        `\`${name}\` is not the name of a header`,
        [...path, name],
        'Write letters, digits and `-`.',
      )
    }
    return { name, key: name.toLowerCase(), read: compilePrincipalField(text, [...path, name]) }
  })
  return {
    write({ headers }, principal) {
      for (const { name, key, read } of fields) {
        headers.delete(key)
        const value = read(principal)
        if (value !== undefined) headers.list.push(name, key, headerText(value))
      }
    },
  }
}

/** Text as UTF-8 octets in a Latin-1 string, its control characters spaces: no claim can end its field. */
function headerText(text: string): string {
  if (/^[ -~]*$/.test(text)) return text
  return Buffer.from(text, 'utf8')
    .toString('latin1')
    .replace(/[^\t -~\u0080-\u00ff]/g, ' ')
}
