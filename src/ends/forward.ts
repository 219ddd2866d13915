// The end `forward`: sends the call to an upstream, with another path or Host where the config says so.

import type { Call } from '../core/call.ts'
import { Failure } from '../core/failure.ts'
import { defineEnd, OptionsError } from '../core/policy.ts'
import type { Reply } from '../core/reply.ts'
import { Fields, Maybe, Shorthand, type Static, TemplateText, Type } from '../core/schema.ts'
import { compileTemplate } from '../core/template.ts'

const options = Shorthand(
  'to',
  Fields({
    to: Type.String({ description: 'Name of the upstream.', examples: ['catalog'] }),
    path: Maybe(
      TemplateText({
        description: 'Another path for the upstream; the query stays unless the template holds a `?`.',
        examples: ['/v2/{rest}'],
      }),
    ),
    host: Maybe(
      TemplateText({ description: 'Another Host for the upstream.', examples: ['catalog.internal', '{host}'] }),
    ),
  }),
)

export const forward = defineEnd({
  name: 'forward',
  summary: 'Sends the call to an upstream.',
  options,
  check,
  upstreams: ({ to }) => [to],
  build({ to, path, host }, ports) {
    const upstream = ports.upstream(to)
    if (path === null && host === null) return call => upstream.send(call)
    const rewritePath = path === null ? null : compilePath(path)
    const rewriteHost = host === null ? null : compileHost(host)
    return function forward(call: Call): Promise<Reply> {
      try {
        rewritePath?.(call)
        rewriteHost?.(call)
      } catch (failure) {
        return Promise.reject(failure)
      }
      return upstream.send(call)
    }
  },
})

function check({ path, host }: Static<typeof options>): void {
  if (path !== null) {
    if (!path.startsWith('/') && !path.startsWith('{path}')) {
      throw new OptionsError(`the path \`${path}\` does not start with a slash`, ['path'], `Write \`/${path}\`.`)
    }
    if (path.includes('#')) {
      throw new OptionsError(`the path \`${path}\` holds a \`#\``, ['path'], 'Write `%23` for this character.')
    }
  }
  if (host === null) return
  const template = compileTemplate(host)
  if (template.isConstant && !isHost(host)) {
    throw new OptionsError(`\`${host}\` is not a host`, ['host'], 'Write a name or address, with `:port` if need be.')
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

function compileHost(host: string): (call: Call) => void {
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
