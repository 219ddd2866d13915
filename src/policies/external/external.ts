// The policy `external`: an outside service says whether a call may pass.

import { Body } from '../../core/body.ts'
import type { Call } from '../../core/call.ts'
import { checkFieldName } from '../../core/field-name.ts'
import { definePolicy, OptionsError } from '../../core/policy.ts'
import { Reply } from '../../core/reply.ts'
import { Choice, Duration, Fields, Maybe, OneOrMany, Shorthand, Size, TemplateText, Type } from '../../core/schema.ts'
import type { Step } from '../../core/step.ts'
import { compileTemplate } from '../../core/template.ts'
import { compileForwardFields } from '../../identity/forward-fields.ts'
import { type Answer, denialOf } from './answer.ts'
import { createAsker } from './ask.ts'
import { remembering } from './remember.ts'

/** Tells the upstream that nobody was asked. */
const uncheckedField = 'x-access-unchecked'

const names = (defaults: readonly string[], description: string) =>
  OneOrMany(Type.String(), { default: [...defaults], description })

const options = Fields({
  http: Type.String({ description: 'URL of the service. 200 lets a call pass, 4xx and redirects go to the client.' }),
  appendPath: Type.Boolean({
    default: false,
    description: 'Whether path and query of the call are put behind that URL; they are in `x-forwarded-uri` always.',
  }),
  send: names(['authorization', 'cookie'], 'Header fields of the call that the service is told.'),
  body: Maybe(
    Shorthand(
      'max',
      Fields(
        { max: Size({ description: 'Longest body; a longer one is refused with 413.' }) },
        {
          description: 'The service is told the body, by POST. Left out where it is not written.',
        },
      ),
    ),
  ),
  upstreamHeaders: names(
    [],
    'Header fields of a 200 that are written on the call. Fields of these names from the client are dropped.',
  ),
  replyHeaders: names(
    ['content-type', 'location', 'retry-after', 'set-cookie', 'www-authenticate'],
    'Header fields of a denial that the client is given.',
  ),
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
})

export const external = definePolicy({
  name: 'external',
  summary: 'Asks an outside service whether a call may pass.',
  options,
  check(given) {
    checkUrl(given.http, given.appendPath)
    for (const key of ['send', 'upstreamHeaders', 'replyHeaders'] as const) {
      for (const [index, name] of given[key].entries()) {
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
  },
  build(given, ports, place) {
    const dropped = [...given.upstreamHeaders, uncheckedField]
    // Only what drops is used: the names, also in the spellings that an upstream may read as the same.
    const untrusted = compileForwardFields(Object.fromEntries(dropped.map(name => [name, 'id'])), ['upstreamHeaders'])
    const passed = ports.meter.counter('turnpike_external_unchecked', { http_route: place.route })
    const put = createAsker(given, ports, place)
    const askPlain = (call: Call) => put(call, null)
    const full = ports.meter.counter('turnpike_ceiling_hits', { ceiling: 'external-answers', name: place.route })
    const { cache, send } = given
    const ask = cache === null ? askPlain : remembering(askPlain, cache, send, ports.clock, () => full.add(1))
    const bytesMax = given.body?.max ?? 0
    const askWithBody = async (call: Call): Promise<Answer | null> => {
      const body = await call.body.bytes(bytesMax)
      call.body = Body.of(body)
      return put(call, body)
    }
    const admit = (call: Call, answer: Answer | null, next: Step): Promise<Reply> => {
      if (answer === null) {
        if (given.onFailure === 'closed') return Promise.resolve(Reply.problem('access-unavailable'))
        passed.add(1)
        call.headers.add(uncheckedField, '1')
        return next(call)
      }
      if (!answer.passes) return Promise.resolve(denialOf(call, answer))
      for (const [name, value] of answer.fields) call.headers.add(name, value)
      return next(call)
    }
    return next =>
      function external(call) {
        untrusted.drop(call)
        const asked = given.body === null || call.body.isEmpty ? ask(call) : askWithBody(call)
        return asked.then(answer => admit(call, answer, next))
      }
  },
})

function checkUrl(text: string, appendPath: boolean): void {
  const url = URL.parse(text)
  if (!/^https?:\/\//.test(text) || url === null || url.username !== '' || url.password !== '') {
    const hint = 'Write a URL such as `https://access.acme.test/check`, without user and password.'
    throw new OptionsError(`${JSON.stringify(text)} is not the URL of a service`, ['http'], hint)
  }
  if (
    appendPath &&
    (text.includes('?') || text.includes('#') || url.href.replace(/\/$/, '') !== text.replace(/\/$/, ''))
  ) {
    const hint = 'Write the URL in lower case, without query and fragment.'
    throw new OptionsError('the path of the call cannot be put behind this URL', ['http'], hint)
  }
}
