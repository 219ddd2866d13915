// Parts of the principal as header fields for the upstream; fields of those names from the client never pass.

import type { Call } from '../core/call.ts'
import { OptionsError } from '../core/policy.ts'
import type { Principal } from '../core/principal.ts'
import { Named, Type } from '../core/schema.ts'
import { compilePrincipalField } from './principal-field.ts'

/** The option `forward` of every authentication policy. */
export const forwardOption = Named(Type.String(), {
  default: {},
  description:
    'Header fields for the upstream, by name: `X-Consumer: consumer.name`, `X-Tenant: claims.tenant`. Fields of these names from the client are dropped.',
})

export interface ForwardFields {
  /** Drops what the client sent under these names. To be called on every call, before it is known who calls. */
  drop(call: Call): void
  /** Writes the fields. */
  write(call: Call, principal: Principal): void
}

/** @throws OptionsError below `path` for a part that does not exist, or a name that is no header's. */
export function compileForwardFields(
  option: Readonly<Record<string, string>>,
  path: readonly (string | number)[] = ['forward'],
): ForwardFields {
  const fields = Object.entries(option).map(([name, text]) => {
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) {
      throw new OptionsError(
        `\`${name}\` is not the name of a header`,
        [...path, name],
        'Write letters, digits and `-`.',
      )
    }
    return { name, key: name.toLowerCase(), read: compilePrincipalField(text, [...path, name]) }
  })
  return {
    drop: compileDrop(fields.map(({ key }) => key)),
    write({ headers }, principal) {
      for (const { name, key, read } of fields) {
        const value = read(principal)
        if (value !== undefined) headers.list.push(name, key, headerText(value))
      }
    },
  }
}

/** Takes fields of these names off a call. An upstream may read `X_Consumer` and `X-Consumer` as one name (CGI does). */
export function compileDrop(names: readonly string[]): (call: Call) => void {
  const keys = new Set(names.map(name => name.toLowerCase().replaceAll('_', '-')))
  return ({ headers: { list } }) => {
    if (keys.size === 0) return
    for (let i = list.length - 2; i > 0; i -= 3) {
      if (keys.has((list[i] as string).replaceAll('_', '-'))) list.splice(i - 1, 3)
    }
  }
}

/** Text as UTF-8 octets in a Latin-1 string, its control characters spaces: no claim can end its field. */
function headerText(text: string): string {
  if (/^[ -~]*$/.test(text)) return text
  return Buffer.from(text, 'utf8')
    .toString('latin1')
    .replace(/[^\t -~\u0080-\u00ff]/g, ' ')
}
