// A whole document compiled: its operations with their parameters, bodies and replies.

import { compileContent, type Content } from './content.ts'
import { fieldsAt, type OpenApiDocument, readDocument, type Written } from './document.ts'
import { type OperationPart, Operations, operationsOf } from './operations.ts'
import { compileParameter, type Parameter } from './parameters.ts'
import { DocumentError, type Fields, isFields, member, within } from './part.ts'
import { Schemas } from './schema.ts'

export interface DescriptionOptions {
  readonly unsafePatterns: 'refuse' | 'ignore'
  /** Objects and arrays inside each other. */
  readonly depthMax: number
  /** Whether replies are described as well. */
  readonly hasReplies: boolean
}

export interface Operation {
  /** Such as `GET /users/{id}`. */
  readonly name: string
  readonly parameters: readonly Parameter[]
  /** Null where no body is described. */
  readonly body: Content | null
  readonly isBodyRequired: boolean
  /** What a status may bring; undefined for one that is not described. */
  reply(status: number): ReplyDescription | undefined
}

export interface ReplyDescription {
  readonly headers: readonly Parameter[]
  /** Null where no body is described. */
  readonly content: Content | null
}

/** `references` are the files that it may refer to. @throws DocumentError for the first mistake in the document. */
export function compileDescription(
  written: Written,
  references: readonly Written[],
  options: DescriptionOptions,
): Operations<Operation> {
  try {
    return operationsOfDocument(readDocument(written, references), options)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new DocumentError(
      'the document is nested too deeply',
      '',
      'Write parts of it as components, and refer to them.',
    )
  }
}

function operationsOfDocument(document: OpenApiDocument, options: DescriptionOptions): Operations<Operation> {
  const { unsafePatterns } = options
  const requests = new Schemas(document, { direction: 'request', unsafePatterns })
  const replies = new Schemas(document, { direction: 'reply', unsafePatterns })
  const operations = new Operations<Operation>()
  for (const part of operationsOf(document)) {
    operations.add(part.method, part.path, compileOperation(document, part, requests, replies, options))
  }
  return operations
}

function compileOperation(
  document: OpenApiDocument,
  part: OperationPart,
  requests: Schemas,
  replies: Schemas,
  { depthMax, hasReplies }: DescriptionOptions,
): Operation {
  const { value, pointer } = part.operation
  const parameters = part.parameters.flatMap(
    parameter => compileParameter(document, parameter, requests, depthMax) ?? [],
  )
  refuseStrayNames(part, parameters)
  const written = member(value, 'requestBody')
  const body =
    written === undefined ? null : fieldsAt(document, { value: written, pointer: within(pointer, 'requestBody') })
  const content = body && contentOf(document, body, requests, depthMax)
  const byStatus = hasReplies
    ? repliesOf(document, value, pointer, replies, depthMax)
    : new Map<string, ReplyDescription>()
  return {
    name: `${part.method} ${part.path}`,
    parameters,
    body: content,
    isBodyRequired: body !== null && member(body.value, 'required') === true,
    reply: status => byStatus.get(String(status)) ?? byStatus.get(`${String(status)[0]}XX`) ?? byStatus.get('default'),
  }
}

/** Parameters of the path and names in its template must be the same. */
function refuseStrayNames({ path, operation }: OperationPart, parameters: readonly Parameter[]): void {
  const names = [...path.matchAll(/\{([^{}]*)\}/g)].map(([, name]) => name)
  for (const parameter of parameters) {
    if (parameter.in !== 'path' || names.includes(parameter.name)) continue
    const what = `the path parameter \`${parameter.name}\` does not stand in the path`
    throw new DocumentError(
      what,
      operation.pointer,
      `Write \`{${parameter.name}}\` in the path, or remove the parameter.`,
    )
  }
}

function contentOf(
  document: OpenApiDocument,
  { value, pointer }: { value: Fields; pointer: string },
  schemas: Schemas,
  depthMax: number,
): Content {
  return compileContent(
    document,
    { value: member(value, 'content') ?? {}, pointer: within(pointer, 'content') },
    schemas,
    depthMax,
  )
}

function repliesOf(document: OpenApiDocument, operation: Fields, pointer: string, schemas: Schemas, depthMax: number) {
  const found = new Map<string, ReplyDescription>()
  const written = member(operation, 'responses')
  for (const [status, value] of Object.entries(isFields(written) ? written : {})) {
    if (status.startsWith('x-')) continue
    const at = within(pointer, 'responses', status)
    if (!/^(?:[1-5]\d\d|[1-5]XX|default)$/.test(status)) {
      throw new DocumentError(`\`${status}\` is no status`, at, 'Write `200`, `2XX` or `default`.')
    }
    const reply = fieldsAt(document, { value, pointer: at })
    found.set(status, {
      headers: headersOf(document, reply, schemas, depthMax),
      content: member(reply.value, 'content') === undefined ? null : contentOf(document, reply, schemas, depthMax),
    })
  }
  return found
}

/** Those of a reply, each as a parameter. Several `Set-Cookie` make no list, and are not looked at. */
function headersOf(
  document: OpenApiDocument,
  reply: { readonly value: Fields; readonly pointer: string },
  schemas: Schemas,
  depthMax: number,
): Parameter[] {
  const written = member(reply.value, 'headers') ?? {}
  const at = within(reply.pointer, 'headers')
  if (!isFields(written)) throw new DocumentError('`headers` is not an object', at, 'Write names of headers here.')
  return Object.entries(written).flatMap(([name, value]) => {
    if (name.toLowerCase() === 'set-cookie') return []
    const header = fieldsAt(document, { value, pointer: within(at, name) })
    const parameter = { value: { ...header.value, name, in: 'header' }, pointer: header.pointer }
    return compileParameter(document, parameter, schemas, depthMax) ?? []
  })
}
