// Another path or Host for the upstream.

import type { Call } from '../../core/call.ts'
import { Failure } from '../../core/failure.ts'
import { OptionsError } from '../../core/policy.ts'
import { compileTemplate } from '../../core/template.ts'

export interface Rewriting {
  readonly path: string | null
  readonly host: string | null
}

/** Null where nothing is rewritten. What it returns throws a Failure for a call that the templates make nothing safe of. */
export function compileRewrite({ path, host }: Rewriting): ((call: Call) => void) | null {
  const rewritePath = path === null ? null : compilePath(path)
  const rewriteHost = host === null ? null : compileHost(host)
  if (rewritePath === null) return rewriteHost
  if (rewriteHost === null) return rewritePath
  return call => {
    rewritePath(call)
    rewriteHost(call)
  }
}

/** @throws OptionsError */
export function checkRewrite({ path, host }: Rewriting): void {
  if (path !== null) {
    if (!path.startsWith('/') && !path.startsWith('{path}')) {
      throw new OptionsError(`the path \`${path}\` does not start with a slash`, ['path'], `Write \`/${path}\`.`)
    }
    if (path.includes('#')) {
      throw new OptionsError(`the path \`${path}\` holds a \`#\``, ['path'], 'Write `%23` for this character.')
    }
  }
  if (host !== null) checkHost(host, ['host'])
}

/** @throws OptionsError */
export function checkHost(host: string, path: readonly (string | number)[]): void {
  const template = compileTemplate(host)
  if (template.isConstant && !isHost(host)) {
    throw new OptionsError(`\`${host}\` is not a host`, path, 'Write a name or address, with `:port` if need be.')
  }
}

function compilePath(path: string): (call: Call) => void {
  const template = compileTemplate(path)
  if (path.includes('?')) {
    return call => {
      call.target = template.renderTarget(call)
    }
  }
  return call => {
    call.target = template.renderTarget(call) + queryOf(call.target)
  }
}

/** Not `call.query`: a policy may have taken a key out of the target, or edited it otherwise. */
function queryOf(target: string): string {
  const at = target.indexOf('?')
  return at < 0 ? '' : target.slice(at)
}

export function compileHost(host: string): (call: Call) => void {
  const template = compileTemplate(host)
  return call => {
    const value = template.render(call)
    if (!isHost(value)) {
      const detail = `the host template \`${host}\` made \`${value}\` of this call`
      throw new Failure('malformed-request', { detail })
    }
    call.headers.set('Host', value)
  }
}

/** A name, an IPv4 address or an IPv6 address in brackets, with or without a port (RFC 9110 section 7.2). */
function isHost(text: string): boolean {
  return /^(?:[\w.~-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/.test(text)
}
