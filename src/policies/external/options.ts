// What may be written for `external`, and which of it makes no sense together.

import { checkFieldName } from '../../core/field-name.ts'
import { OptionsError } from '../../core/policy.ts'
import {
  Choice,
  Duration,
  Fields,
  Maybe,
  Named,
  OneOrMany,
  Shorthand,
  Size,
  type Static,
  TemplateText,
  Type,
} from '../../core/schema.ts'
import { compileTemplate } from '../../core/template.ts'

/** What HTTP tells where `send` is not written. */
export const usualSend: readonly string[] = ['authorization', 'cookie']

/** What HTTP gives to the client where `replyHeaders` is not written. */
export const usualReply: readonly string[] = [
  ...['content-type', 'location', 'retry-after', 'set-cookie', 'www-authenticate'],
]

const names = (description: string) => OneOrMany(Type.String(), { default: [], description })

export const options = Shorthand(
  'url',
  Fields({
    url: Type.String({
      description:
        'The service: `http://` or `https://` asks over HTTP, `grpc://` or `grpcs://` (with TLS) by the gRPC contract of Envoy.',
    }),
    appendPath: Type.Boolean({
      default: false,
      description:
        'HTTP: asks as Envoy does, by method and Host of the call, with its path and query behind the URL; else by GET of the URL.',
    }),
    send: Maybe(
      OneOrMany(Type.String(), {
        description:
          'Header fields of the call that the service is told. Left out, HTTP tells `authorization` and `cookie`, gRPC all.',
      }),
    ),
    body: Maybe(
      Shorthand(
        'max',
        Fields(
          { max: Size({ description: 'Longest body; a longer one is refused with 413.' }) },
          { description: 'The service is told the body, over HTTP by POST. Left out where it is not written.' },
        ),
      ),
    ),
    context: Named(Type.String(), {
      default: {},
      description: 'gRPC: what the service is told of every call besides, as `context_extensions`.',
    }),
    upstreamHeaders: names(
      'Header fields that the service may write on a call that passes. Fields of these names from the client are dropped.',
    ),
    replyHeaders: Maybe(
      OneOrMany(Type.String(), {
        description: `HTTP: header fields of a denial that the client is given. Left out: ${usualReply.map(name => `\`${name}\``).join(', ')}.`,
      }),
    ),
    replyHeadersOnPass: names('HTTP: header fields of a 200 that are added to the reply of the call.'),
    timeout: Duration({ default: '250ms', description: 'How long the service may take.' }),
    onFailure: Choice(['closed', 'open'], {
      default: 'closed',
      description: 'Whether calls are refused or pass while the service gives no proper answer.',
    }),
    cache: Maybe(
      Fields(
        {
          key: TemplateText({ description: 'What else the answer depends on, besides the fields of `send`.' }),
          ttl: Duration({ default: '10s', description: 'How long an answer is remembered.' }),
          entries: Type.Integer({
            minimum: 1,
            maximum: 1_000_000,
            default: 10_000,
            description: 'Answers remembered by each worker.',
          }),
        },
        { description: 'Remembers answers. Off where it is not written.' },
      ),
    ),
  }),
)

export type ExternalOptions = Static<typeof options>

export function isGrpc({ url }: Pick<ExternalOptions, 'url'>): boolean {
  return /^grpcs?:/.test(url)
}

/** @throws OptionsError */
export function checkOptions(given: ExternalOptions): void {
  if (isGrpc(given)) checkGrpc(given)
  else checkHttp(given)
  for (const key of ['send', 'upstreamHeaders', 'replyHeaders', 'replyHeadersOnPass'] as const) {
    for (const [index, name] of (given[key] ?? []).entries()) {
      checkFieldName(name, [key, index])
      if (/^(host|x-forwarded-.*|x-access-unchecked)$/i.test(name)) {
        throw new OptionsError(`the field \`${name}\` is the gateway’s own`, [key, index], 'Leave it out.')
      }
    }
  }
  if (given.cache === null) return
  compileTemplate(given.cache.key)
  if (given.body !== null) {
    const hint = 'Leave out `cache` or `body`.'
    throw new OptionsError('an answer about a body cannot be remembered for other bodies', ['cache'], hint)
  }
  if (given.send === null && isGrpc(given)) {
    const hint = 'List the fields that the service looks at in `send`.'
    throw new OptionsError('no two calls are alike while the service is told all their fields', ['cache'], hint)
  }
}

function checkHttp({ url: text, appendPath, context }: ExternalOptions): void {
  const url = URL.parse(text)
  if (!/^https?:\/\//.test(text) || url === null || url.username !== '' || url.password !== '') {
    const hint =
      'Write a URL such as `https://access.acme.test/check` or `grpc://access.acme.test:9191`, without user and password.'
    throw new OptionsError(`${JSON.stringify(text)} is not the URL of a service`, ['url'], hint)
  }
  if (appendPath && /[?#]/.test(text)) {
    const hint = 'Write the URL without query and fragment.'
    throw new OptionsError('the path of the call cannot be put behind this URL', ['url'], hint)
  }
  if (Object.keys(context).length > 0) {
    const hint = 'Leave it out, or write it into the URL.'
    throw new OptionsError('only a gRPC service is told a `context`', ['context'], hint)
  }
}

function checkGrpc({ url: text, appendPath, replyHeaders, replyHeadersOnPass }: ExternalOptions): void {
  const url = URL.parse(text.replace(/^grpc/, 'http'))
  // No port is usual for gRPC, and that of HTTP is never meant.
  if (!/^grpcs?:\/\/[^/?#@]+:\d+\/?$/.test(text) || url === null) {
    const hint = 'Write scheme, host and port alone, such as `grpc://access.acme.test:9191`.'
    throw new OptionsError(`${JSON.stringify(text)} is not the address of a gRPC service`, ['url'], hint)
  }
  const senseless = [
    ['appendPath', appendPath, 'A gRPC service is told path and query always.'],
    ['replyHeaders', replyHeaders !== null, 'A gRPC service names the fields of a denial itself.'],
    ['replyHeadersOnPass', replyHeadersOnPass.length > 0, 'A gRPC service names the fields of the reply itself.'],
  ] as const
  for (const [key, isWritten, why] of senseless) {
    if (isWritten) throw new OptionsError(`\`${key}\` is for HTTP services alone`, [key], `Leave it out. ${why}`)
  }
}
