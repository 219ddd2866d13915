// The end `redirect`: sends the client to another URL.

import { Body } from '../core/body.ts'
import type { Call } from '../core/call.ts'
import { Headers } from '../core/headers.ts'
import { defineEnd, OptionsError } from '../core/policy.ts'
import { Reply } from '../core/reply.ts'
import { Choice, Fields, Maybe, Shorthand, type Static, TemplateText, Type } from '../core/schema.ts'
import { schemeOf } from '../core/scheme-of.ts'
import { compileTemplate } from '../core/template.ts'

const options = Shorthand(
  'to',
  Fields({
    to: Maybe(
      TemplateText({
        description: 'Where to: a URL, or a path on the same host. Instead of the parts below.',
        examples: ['https://api.acme.test/{rest}', '/new/{id}'],
      }),
    ),
    scheme: Maybe(
      Choice(['http', 'https'], { description: 'Another scheme; its own port unless `port` says another.' }),
    ),
    host: Maybe(Type.String({ description: 'Another host, without port.', examples: ['www.acme.test'] })),
    port: Maybe(Type.Integer({ minimum: 1, maximum: 65535, description: 'Another port.' })),
    path: Maybe(
      TemplateText({
        description: 'Another path; the query stays unless the template holds a `?`.',
        examples: ['/v2/{rest}'],
      }),
    ),
    status: Type.Unsafe<301 | 302 | 303 | 307 | 308>({
      type: 'integer',
      enum: [301, 302, 303, 307, 308],
      default: 302,
      description: 'With 307 and 308 the client repeats method and body; 301 and 308 may be remembered for good.',
    }),
  }),
)

type Options = Static<typeof options>
type Render = (call: Call) => string

export const redirect = defineEnd({
  name: 'redirect',
  summary: 'Sends the client to another URL.',
  options,
  check,
  build(given) {
    const { status, to, path } = given
    const location = to === null ? joined(compileOrigin(given), compilePath(path)) : compileTo(to)
    return async function redirect(call: Call): Promise<Reply> {
      const headers = new Headers()
      headers.add('location', location(call))
      return new Reply(status, headers, Body.empty)
    }
  },
})

/** A URL's origin, and the rest that may be empty. Placeholders may stand in both. */
const url = /^([A-Za-z][A-Za-z0-9+.-]*:\/\/[^/?#]+|\{scheme\}:\/\/[^/?#]+)(.*)$/

function check({ to, scheme, host, port, path }: Options): void {
  const parts = { scheme, host, port, path }
  const written = Object.entries(parts).find(([, value]) => value !== null)?.[0]
  if (to === null && written === undefined) {
    throw new OptionsError(
      'the redirect does not say where to',
      [],
      'Write `to`, or a `scheme`, `host`, `port` or `path`.',
    )
  }
  if (to !== null) {
    if (written !== undefined) {
      throw new OptionsError(
        `\`to\` already says the ${written}`,
        [written],
        `Remove \`${written}\`, or write parts only.`,
      )
    }
    checkTo(to)
  }
  if (path !== null) checkPath(path, ['path'])
  if (host !== null && !/^(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])$/.test(host)) {
    throw new OptionsError(
      `\`${host}\` is not a host`,
      ['host'],
      'Write a name or an address; the port goes into `port`.',
    )
  }
}

function checkTo(to: string): void {
  const [, origin] = url.exec(to) ?? []
  if (origin === undefined) return checkPath(to, ['to'])
  if (!/^(?:https?|\{scheme\}):/i.test(origin)) {
    throw new OptionsError(`\`${to}\` is not an http URL`, ['to'], 'Write `https://…`, or a path on the same host.')
  }
  if (origin.includes('@')) {
    throw new OptionsError(`\`${to}\` holds user information`, ['to'], 'Remove what stands before the `@`.')
  }
  compileTo(to)
}

function checkPath(path: string, place: readonly string[]): void {
  compilePath(path)
  if (path.startsWith('{path}') || /^\/(?![/\\])/.test(path)) return
  const hint = 'Start with one `/`, or with `https://` and a host.'
  throw new OptionsError(`\`${path}\` is neither a URL nor a path`, place, hint)
}

function compileTo(to: string): Render {
  const [, origin = '', rest = to] = url.exec(to) ?? []
  if (origin === '') return compilePath(to)
  if (rest.startsWith('/')) return compileWithQuery(to)
  // The origin alone: path and query stay as they were. A query or fragment alone: the path stays.
  return compileWithQuery(`${origin}{path}${rest}`)
}

function compilePath(path: string | null): Render {
  return compileWithQuery(path ?? '{path}')
}

/** The query of the call goes behind the path, before a fragment, unless the template holds its own. */
function compileWithQuery(text: string): Render {
  const hash = text.indexOf('#')
  const fragment = compileTemplate(hash < 0 ? '' : text.slice(hash))
  const template = compileTemplate(hash < 0 ? text : text.slice(0, hash))
  const isWhole = template.text.includes('?')
  return call => template.renderTarget(call) + (isWhole ? '' : call.query) + fragment.renderTarget(call)
}

function joined(origin: Render | null, path: Render): Render {
  return origin === null ? path : call => origin(call) + path(call)
}

/** Null when only the path changes: the client then stays on its origin, however many proxies hide it from us. */
function compileOrigin({ scheme, host, port }: Options): Render | null {
  if (scheme === null && host === null && port === null) return null
  return call => {
    const usedScheme = scheme ?? schemeOf(call)
    const written = port ?? (scheme === null ? portOf(call) : null)
    const suffix = written === null || written === (usedScheme === 'https' ? 443 : 80) ? '' : `:${written}`
    return `${usedScheme}://${host ?? call.host}${suffix}`
  }
}

/** The port in the Host field, null without one. */
function portOf(call: Call): number | null {
  const port = /:(\d{1,5})$/.exec(call.headers.get('host') ?? '')?.[1]
  return port === undefined ? null : Number(port)
}
