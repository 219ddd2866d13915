// The policy `headers`: removes, sets and adds header fields of the call and of the reply.

import type { Call } from '../../core/call.ts'
import { checkFieldName } from '../../core/field-name.ts'
import type { Headers } from '../../core/headers.ts'
import { definePolicy, OptionsError } from '../../core/policy.ts'
import { Fields, Named, OneOrMany, type Static, TemplateText, Type } from '../../core/schema.ts'
import { compileTemplate } from '../../core/template.ts'

const edits = (what: string) =>
  Fields(
    {
      set: Named(TemplateText(), {
        default: {},
        description: `Fields that ${what} has exactly once; values may hold placeholders.`,
      }),
      add: Named(TemplateText(), {
        default: {},
        description: 'Fields added behind those of the same name; values may hold placeholders.',
      }),
      remove: OneOrMany(Type.String(), {
        default: [],
        description: 'Names of fields to take away, before the others.',
      }),
    },
    { default: {}, description: `Changes to the fields of ${what}.` },
  )

const options = Fields({ request: edits('the request'), reply: edits('the reply') })

type Edits = Static<typeof options>['request']
type Edit = (headers: Headers, call: Call) => void

export const headers = definePolicy({
  name: 'headers',
  summary: 'Removes, sets and adds header fields of the request and the reply.',
  options,
  check,
  build({ request, reply }) {
    const editRequest = compileEdits(request)
    const editReply = compileEdits(reply)
    return next => {
      if (editReply === null) {
        return function headers(call) {
          editRequest?.(call.headers, call)
          return next(call)
        }
      }
      return async function headers(call) {
        editRequest?.(call.headers, call)
        const answer = await next(call)
        editReply(answer.headers, call)
        return answer
      }
    }
  },
})

function check({ request, reply }: Static<typeof options>): void {
  checkEdits(request, 'request')
  checkEdits(reply, 'reply')
  if (isEmpty(request) && isEmpty(reply)) {
    throw new OptionsError(
      'the policy changes nothing',
      [],
      'Write `set`, `add` or `remove` under `request` or `reply`.',
    )
  }
}

function checkEdits({ set, add, remove }: Edits, side: 'request' | 'reply'): void {
  for (const [kind, fields] of [
    ['set', set],
    ['add', add],
  ] as const) {
    for (const name of Object.keys(fields)) checkName(name, [side, kind, name])
  }
  for (const [index, name] of remove.entries()) checkName(name, [side, 'remove', index])
}

function checkName(name: string, path: readonly (string | number)[]): void {
  checkFieldName(name, path)
  if (path[0] !== 'request' || name.toLowerCase() !== 'host') return
  throw new OptionsError('`headers` cannot change Host', path, 'Write `host` in `forward`.')
}

function isEmpty({ set, add, remove }: Edits): boolean {
  return Object.keys(set).length + Object.keys(add).length + remove.length === 0
}

/** All edits of one side in the order remove, set, add; null without any. */
function compileEdits(edits: Edits): Edit | null {
  if (isEmpty(edits)) return null
  const removed = edits.remove.map(name => name.toLowerCase())
  const set = compileFields(edits.set)
  const added = compileFields(edits.add)
  return (headers, call) => {
    for (const key of removed) headers.delete(key)
    for (const { name, template } of set) headers.set(name, template.render(call))
    for (const { name, template } of added) headers.add(name, template.render(call))
  }
}

function compileFields(fields: Readonly<Record<string, string>>) {
  return Object.entries(fields).map(([name, value]) => ({ name, template: compileTemplate(value) }))
}
