// Looks for mistakes in the head and the body of a call, and in replies.

import type { Call } from '../../core/call.ts'
import { bare } from '../../core/cookie.ts'
import type { Headers } from '../../core/headers.ts'
import type { Reply } from '../../core/reply.ts'
import type { Content, Media } from '../../openapi/content.ts'
import type { Operation } from '../../openapi/description.ts'
import { decodeForm, type Given, type Parameter } from '../../openapi/parameters.ts'
import { mistakesMax, type Mistake } from '../../openapi/run.ts'

/** What callers and logs are told of a mistake. No values. */
export interface Violation {
  readonly in: 'operation' | 'path' | 'query' | 'header' | 'cookie' | 'body' | 'status'
  readonly name?: string
  readonly pointer?: string
  readonly message: string
}

const nameCharactersMax = 100

/** Mistakes in path, query, fields and cookies. */
export function headViolations(
  call: Call,
  { parameters }: Operation,
  params: ReadonlyMap<string, string>,
  unknown: 'ignore' | 'refuse',
): Violation[] {
  const query = queryPairs(call.query)
  if (query === null) return [{ in: 'query', message: 'has a malformed escape' }]
  const given: Given = {
    path: params,
    query,
    header: name => call.headers.all(name),
    cookies: call.headers.all('cookie').flatMap(cookiePairs),
  }
  const found = parameters.flatMap(parameter => violationsOf(parameter, given))
  if (unknown === 'refuse') {
    for (const [name] of query) {
      if (parameters.some(parameter => parameter.in === 'query' && parameter.takes(name))) continue
      found.push({ in: 'query', name: name.slice(0, nameCharactersMax), message: 'is not known' })
      if (found.length >= mistakesMax) break
    }
  }
  return found.slice(0, mistakesMax)
}

function violationsOf(parameter: Parameter, given: Given): Violation[] {
  return parameter.check(given).map(mistake => ({ in: parameter.in, name: parameter.name, ...shown(mistake) }))
}

/** What is known of a body before it is read. */
export type BodyPlan =
  | { readonly kind: 'violation'; readonly violation: Violation }
  /** Nothing more to look at. */
  | { readonly kind: 'pass' }
  | { readonly kind: 'read'; readonly check: NonNullable<Media['check']> }

const pass: BodyPlan = { kind: 'pass' }

export function planRequest(call: Call, { body, isBodyRequired }: Operation): BodyPlan {
  if (call.body.isEmpty) return isBodyRequired ? refuse('body', 'is missing') : pass
  if (body === null) return refuse('body', 'must not be there')
  return planBody(call.headers, body)
}

/** Mistakes in the fields of a reply. */
export function replyHeadViolations(reply: Reply, operation: Operation): Violation[] {
  const given: Given = { path: new Map(), query: [], header: name => reply.headers.all(name), cookies: [] }
  const described = operation.reply(reply.status)
  return (described?.headers ?? []).flatMap(parameter => violationsOf(parameter, given)).slice(0, mistakesMax)
}

/** Undefined replies are mistakes; interim ones never come here. */
export function planReply(reply: Reply, operation: Operation, method: string): BodyPlan {
  const described = operation.reply(reply.status)
  if (described === undefined) return refuse('status', 'is not described')
  if (method === 'HEAD' || reply.status === 304 || reply.body.isEmpty) {
    return described.content === null || method === 'HEAD' || reply.status === 304 || reply.status === 204
      ? pass
      : refuse('body', 'is missing')
  }
  return described.content === null ? pass : planBody(reply.headers, described.content)
}

function planBody(headers: Headers, content: Content): BodyPlan {
  const types = headers.all('content-type')
  const [written = ''] = types
  const [type = '', ...parameters] = written.toLowerCase().split(';')
  if (types.length !== 1 || written.includes(',')) return refuse('header', 'must be there once', 'content-type')
  const media = content.find(type.trim())
  if (media === null) return refuse('header', 'is not among the described types', 'content-type')
  if (media.check === null) return pass
  const charset = parameters.find(text => text.trim().startsWith('charset'))
  if (charset !== undefined && !/^charset="?(utf-8|us-ascii)"?$/.test(charset.trim())) {
    return refuse('header', 'must be in UTF-8', 'content-type')
  }
  if (headers.all('content-encoding').some(coding => coding.trim().toLowerCase() !== 'identity')) {
    return refuse('header', 'must not be there: encoded bodies cannot be checked', 'content-encoding')
  }
  return { kind: 'read', check: media.check }
}

export function bodyViolations(check: NonNullable<Media['check']>, bytes: Buffer): Violation[] {
  return check(bytes).map(mistake => ({ in: 'body', ...shown(mistake) }))
}

export function refuse(place: Violation['in'], message: string, name?: string): BodyPlan & { kind: 'violation' } {
  return { kind: 'violation', violation: { in: place, ...(name !== undefined && { name }), message } }
}

function shown({ pointer, message }: Mistake) {
  return { ...(pointer !== '' && { pointer }), message }
}

/** Names are decoded, values are not: delimiters that are encoded belong to them. */
function queryPairs(query: string): [string, string][] | null {
  const pairs: [string, string][] = []
  for (const piece of query.replace(/^\?/, '').split('&')) {
    if (piece === '') continue
    const at = piece.indexOf('=')
    const name = decodeForm(at < 0 ? piece : piece.slice(0, at))
    if (name === null) return null
    pairs.push([name, at < 0 ? '' : piece.slice(at + 1)])
  }
  return pairs
}

function cookiePairs(field: string): [string, string][] {
  return field.split(';').flatMap((pair): [string, string][] => {
    const at = pair.indexOf('=')
    return at > 0 ? [[bare(pair.slice(0, at)), bare(pair.slice(at + 1))]] : []
  })
}
