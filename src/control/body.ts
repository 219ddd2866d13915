// Reads the body of a request along a schema, by the same rules as the config: unknown members are errors, and each error names its member.

import { plainFormats } from '../config/formats.ts'
import { keywordsOf } from '../config/keywords.ts'
import type { Finding } from '../config/problem.ts'
import { treeOf } from '../config/tree.ts'
import { walk } from '../config/walk.ts'
import type { Static, TSchema } from '../core/schema.ts'
import type { MemberError } from './endpoint.ts'

/** The body is not what the endpoint takes. */
export class BodyRefused extends Error {
  readonly errors: readonly MemberError[]

  constructor(errors: readonly MemberError[]) {
    super(errors.map(({ message }) => message).join('; '))
    this.errors = errors
  }
}

/** Refuses a body for one of its members. */
export function refuseMember(member: string, message: string, hint: string): never {
  throw new BodyRefused([{ member, message, hint }])
}

/** @throws BodyRefused */
export function readBody<S extends TSchema>(text: string, schema: S): Static<S> {
  const findings: Finding[] = []
  const source = { path: '', label: 'body', text: '' }
  const tree = treeOf(parsed(text), { source, start: 0, end: 0 })
  const formats = { ...plainFormats, secret: (value: string) => ({ value }) }
  const found = walk(tree, keywordsOf(schema), { name: 'body', keySpan: null }, { formats, findings })
  if (findings.length > 0 || found.isBroken) {
    throw new BodyRefused(findings.map(({ message, hint }) => ({ member: memberOf(message), message, hint })))
  }
  // The border where the value gets its type: it went along the schema that the type is made of.
  return found.value as Static<S>
}

function parsed(text: string): unknown {
  if (text.trim() === '') return {}
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw refusalOf('the body is no JSON')
  }
  if (isTooDeep(value)) throw refusalOf(`the body is nested deeper than ${depthMax}`)
  return value
}

function refusalOf(message: string): BodyRefused {
  return new BodyRefused([{ member: '', message, hint: 'Send an object such as `{ "name": "acme" }`.' }])
}

/** More than anything that is asked for; what is walked by recursion must have an end. */
const depthMax = 32

function isTooDeep(value: unknown): boolean {
  let level: unknown[] = [value]
  for (let depth = 0; depth <= depthMax && level.length > 0; depth++) {
    level = level.flatMap((item): unknown[] => (typeof item === 'object' && item !== null ? Object.values(item) : []))
  }
  return level.length > 0
}

/** Messages name the member first, in backticks, below `body`. */
function memberOf(message: string): string {
  const [, name = ''] = /`([^`]+)`/.exec(message) ?? []
  const lacking = /lacks the key `([^`]+)`/.exec(message)?.[1]
  return lacking ?? name.replace(/^body\.?/, '')
}
