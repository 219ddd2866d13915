// Which header fields a config may write: not those that frame messages or belong to one connection.

import { isHttpName } from './http-name.ts'
import { OptionsError } from './policy.ts'

/** Connection-bound and framing fields (RFC 9110 section 7.6.1): the gateway writes them itself. */
const ownFields: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** Whether a field of this name frames messages or belongs to one connection; `key` is in lower case. */
export function isOwnField(key: string): boolean {
  return ownFields.has(key)
}

/**
 * Refuses a field name that is none, or that a config must not touch. `path` leads to it inside the options.
 * @throws OptionsError
 */
export function checkFieldName(name: string, path: readonly (string | number)[]): void {
  if (!isHttpName(name)) {
    const hint = 'Write letters, digits and `-`, such as `x-team`.'
    throw new OptionsError(`${JSON.stringify(name)} is not the name of a header field`, path, hint)
  }
  if (isOwnField(name.toLowerCase())) {
    const hint = 'It says how a message is framed or carried on one connection; leave it out.'
    throw new OptionsError(`the field \`${name}\` is the gateway’s own`, path, hint)
  }
}
