// The end `reply`: answers by itself.

import { Body } from '../core/body.ts'
import type { Call } from '../core/call.ts'
import { checkFieldName } from '../core/field-name.ts'
import { Headers } from '../core/headers.ts'
import { defineEnd, OptionsError } from '../core/policy.ts'
import { Reply } from '../core/reply.ts'
import { Fields, Maybe, Named, type Static, TemplateText, Type } from '../core/schema.ts'
import { compileTemplate } from '../core/template.ts'

const options = Fields({
  status: Type.Integer({ minimum: 200, maximum: 599, default: 200, description: 'Status of the reply.' }),
  headers: Named(TemplateText(), { default: {}, description: 'Fields of the reply; values may hold placeholders.' }),
  body: Maybe(
    Type.String({
      description: 'Text of the body, sent as it stands; `text/plain` unless `headers` gives a content type.',
    }),
  ),
  json: Maybe(Type.Unknown({ description: 'The body as any value but null, sent as `application/json`.' })),
})

export const reply = defineEnd({
  name: 'reply',
  summary: 'Answers by itself, without an upstream.',
  options,
  check,
  build({ status, headers, body, json }) {
    const text = json === null ? body : JSON.stringify(json)
    const fields = Object.entries(headers).map(([name, value]) => ({ name, template: compileTemplate(value) }))
    if (text !== null && !fields.some(({ name }) => name.toLowerCase() === 'content-type')) {
      const type = json === null ? 'text/plain; charset=utf-8' : 'application/json'
      fields.push({ name: 'content-type', template: compileTemplate(type) })
    }
    return async function reply(call: Call): Promise<Reply> {
      const made = new Headers()
      for (const { name, template } of fields) made.add(name, template.render(call))
      return new Reply(status, made, text === null ? Body.empty : Body.of(text))
    }
  },
})

/** Statuses whose replies have no body (RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5). */
const bodiless: ReadonlySet<number> = new Set([204, 205, 304])

function check({ status, headers, body, json }: Static<typeof options>): void {
  for (const name of Object.keys(headers)) checkFieldName(name, ['headers', name])
  if (body !== null && json !== null) {
    throw new OptionsError('a reply has either a `body` or `json`, not both', ['json'], 'Remove one of them.')
  }
  if (bodiless.has(status) && (body !== null || json !== null)) {
    const key = body !== null ? 'body' : 'json'
    throw new OptionsError(`a reply with status ${status} has no body`, [key], `Remove \`${key}\`.`)
  }
}
