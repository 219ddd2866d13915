// Which origins a list of exact origins and wildcards takes.

import { OptionsError } from '../../core/policy.ts'

/** @throws OptionsError for a text that no browser would ever send, or that is unsafe with credentials. */
export function checkOrigin(origin: string, allowsCredentials: boolean, path: readonly (string | number)[]): void {
  if (origin === '*' || origin === 'null') {
    if (!allowsCredentials) return
    const who =
      origin === '*' ? '`*` would let every site act' : 'any sandboxed page has the origin `null` and could act'
    const hint = 'Name the origins, or set `credentials: false`.'
    throw new OptionsError(`${who} with the credentials of its visitors`, path, hint)
  }
  const [, scheme, wildcard = '', authority = ''] = /^([a-z][a-z0-9+.-]*:\/\/)(\*\.)?(.*)$/i.exec(origin) ?? []
  if (scheme === undefined) refuse(origin, 'has no scheme', `Write \`https://${origin}\`.`, path)
  if (authority === '' || /[^A-Za-z0-9._~:[\]-]/.test(authority)) {
    refuse(origin, 'is not scheme, host and port alone', 'Write it such as `https://shop.acme.test:8443`.', path)
  }
  const url = URL.parse(scheme + authority)
  if (url === null) refuse(origin, 'is not an origin', 'Write it such as `https://shop.acme.test:8443`.', path)
  const sent = `${url.protocol}//${wildcard}${url.host.toLowerCase()}`
  if (sent !== origin) refuse(origin, 'is not how browsers write it', `Write \`${sent}\`.`, path)
}

function refuse(origin: string, what: string, hint: string, path: readonly (string | number)[]): never {
  throw new OptionsError(`the origin \`${origin}\` ${what}`, path, hint)
}

/** Origins are compared byte for byte (Fetch standard, "CORS check"). A wildcard takes one label or more. */
export function compileOrigins(origins: readonly string[]): (origin: string) => boolean {
  const exact = new Set(origins.filter(origin => !origin.includes('*')))
  const wildcards = origins
    .filter(origin => origin.includes('://*.'))
    .map(origin => {
      const star = origin.indexOf('*')
      return { start: origin.slice(0, star), end: origin.slice(star + 1) }
    })
  if (wildcards.length === 0) return origin => exact.has(origin)
  return origin => {
    if (exact.has(origin)) return true
    for (const { start, end } of wildcards) {
      if (!origin.startsWith(start) || !origin.endsWith(end)) continue
      if (/^[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/.test(origin.slice(start.length, -end.length))) return true
    }
    return false
  }
}
