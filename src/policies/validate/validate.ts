// The policy `validate`: holds calls, and replies if asked to, against an OpenAPI document.

import type { Call } from '../../core/call.ts'
import { Failure } from '../../core/failure.ts'
import { holdBody } from '../../core/held-body.ts'
import { definePolicy, OptionsError } from '../../core/policy.ts'
import { Reply } from '../../core/reply.ts'
import { Choice, Fields, Maybe, OneOrMany, Shorthand, Size, type Static, Type } from '../../core/schema.ts'
import { compileDescription, type Operation } from '../../openapi/description.ts'
import type { Match, Operations } from '../../openapi/operations.ts'
import { DocumentError } from '../../openapi/part.ts'
import {
  bodyViolations,
  headViolations,
  planReply,
  planRequest,
  replyHeadViolations,
  type Violation,
} from './mistakes.ts'

const Reference = Shorthand(
  'file',
  Fields({
    file: Type.String({ format: 'file', description: 'A file with schemas or other parts, as YAML or JSON.' }),
    uri: Maybe(
      Type.String({
        description: 'What references call it, where that is not its path from the document or its `$id`.',
      }),
    ),
  }),
)

const options = Fields({
  document: Type.String({
    format: 'file',
    description: 'The OpenAPI document, 3.0 or 3.1, as YAML or JSON.',
  }),
  references: OneOrMany(Reference, {
    default: [],
    description: 'Files that references in the document may lead to, besides itself. Nothing is ever fetched.',
  }),
  basePath: Maybe(
    Type.String({
      pattern: '^/.*[^/]$',
      description: 'What stands before the paths of the document, such as `/v1`; `servers` is not read.',
    }),
  ),
  mode: Choice(['enforce', 'report'], {
    default: 'enforce',
    description: '`report` lets calls with mistakes pass and notes them in the access log.',
  }),
  replies: Choice(['off', 'report', 'enforce'], {
    default: 'off',
    description: 'Whether replies are checked, and whether one with mistakes becomes a 502.',
  }),
  unknownParameters: Choice(['ignore', 'refuse'], {
    default: 'ignore',
    description: 'What is done with names in the query that the operation does not describe.',
  }),
  unknownOperations: Choice(['refuse', 'pass'], {
    default: 'refuse',
    description: 'What is done with calls for which the document has no path and method.',
  }),
  unsafePatterns: Choice(['refuse', 'ignore'], {
    default: 'refuse',
    description: 'Whether a `pattern` that could take very long is a mistake in the document, or is left unchecked.',
  }),
  bodyMax: Size({ default: '1MB', description: 'The largest body that is checked; it is held in memory whole.' }),
  depth: Type.Integer({ minimum: 1, maximum: 100, default: 32, description: 'Objects and arrays inside each other.' }),
})

export const validate = definePolicy({
  name: 'validate',
  summary: 'Checks calls, and replies if asked to, against an OpenAPI document.',
  options,
  check(given, file) {
    if (file === undefined) return
    try {
      compile(given, file)
    } catch (error) {
      if (!(error instanceof DocumentError)) throw error
      throw new OptionsError(error.message, ['document'], error.hint)
    }
  },
  build(given, ports, { route }) {
    const { mode, replies, unknownOperations, unknownParameters, bodyMax } = given
    const operations = compile(given, path => ports.file(path))
    const count = (part: string) => ports.meter.counter('turnpike_validation_failures', { http_route: route, part })
    const counts = { request: count('request'), reply: count('reply') }

    const refusal = (call: Call, violations: readonly Violation[]): Reply | null => {
      counts.request.add(1)
      call.refusal = noted(mode, violations)
      return mode === 'report' ? null : Reply.problem('invalid-request', undefined, { violations })
    }

    /** The mistakes of a request. The body is read only when the head is right. */
    const look = async (call: Call, { operation, params }: Match<Operation>): Promise<readonly Violation[]> => {
      const violations = headViolations(call, operation, params, unknownParameters)
      if (violations.length > 0) return violations
      const plan = planRequest(call, operation)
      if (plan.kind === 'violation') return [plan.violation]
      if (plan.kind === 'pass') return []
      const received = call.body
      const { bytes, body } = await holdBody(received, bodyMax)
      call.body = body
      if (bytes !== null) return bodyViolations(plan.check, bytes)
      if (mode === 'report') return [tooLarge]
      if (received.isUsed) body.cancel()
      throw new Failure('body-too-large')
    }

    const judged = async (call: Call, operation: Operation, reply: Reply): Promise<Reply> => {
      const violations = await replyViolations(call, operation, reply, bodyMax)
      if (violations.length === 0) return reply
      counts.reply.add(1)
      call.refusal = noted(replies, violations)
      if (replies === 'report') return reply
      reply.body.cancel()
      return Reply.problem('invalid-reply')
    }

    return next =>
      async function validate(call) {
        const match = find(operations, call, given.basePath)
        if (match === null) {
          if (unknownOperations === 'pass') return next(call)
          return refusal(call, [{ in: 'operation', message: 'is not described' }]) ?? next(call)
        }
        const violations = await look(call, match)
        const refused = violations.length === 0 ? null : refusal(call, violations)
        if (refused !== null) return refused
        if (replies === 'off') return next(call)
        // An encoded body could not be checked.
        call.headers.delete('accept-encoding')
        return judged(call, match.operation, await next(call))
      }
  },
})

const tooLarge: Violation = { in: 'body', message: 'is too large to be checked' }

async function replyViolations(
  call: Call,
  operation: Operation,
  reply: Reply,
  bodyMax: number,
): Promise<readonly Violation[]> {
  // What the gateway itself answers, and tunnels, are no replies of the service.
  if (reply.code !== null || reply.tunnel !== null) return []
  const violations = replyHeadViolations(reply, operation)
  if (violations.length > 0) return violations
  const plan = planReply(reply, operation, call.method)
  if (plan.kind === 'violation') return [plan.violation]
  if (plan.kind === 'pass') return []
  const { bytes, body } = await holdBody(reply.body, bodyMax)
  reply.body = body
  return bytes === null ? [tooLarge] : bodyViolations(plan.check, bytes)
}

function compile(given: Static<typeof options>, file: (path: string) => string): Operations<Operation> {
  const { document, references, unsafePatterns, depth, replies } = given
  return compileDescription(
    { path: document, text: file(document) },
    references.map(({ file: path, uri }) => ({ path, uri, text: file(path) })),
    { unsafePatterns, depthMax: depth, hasReplies: replies !== 'off' },
  )
}

/** By the target as received, before anything rewrote it. HEAD is described by GET. */
function find(
  operations: Operations<Operation>,
  { method, received }: Call,
  basePath: string | null,
): Match<Operation> | null {
  const question = received.indexOf('?')
  const whole = question < 0 ? received : received.slice(0, question)
  if (basePath !== null && !whole.startsWith(`${basePath}/`) && whole !== basePath) return null
  const path = basePath === null ? whole : whole.slice(basePath.length) || '/'
  return operations.find(method, path) ?? (method === 'HEAD' ? operations.find('GET', path) : null)
}

/** For the log: where the mistakes are and what was asked, without values. */
function noted(mode: string, violations: readonly Violation[]): string {
  const texts = violations.map(({ in: place, name, pointer, message }) =>
    [place, name, pointer, message].filter(Boolean).join(' '),
  )
  return `${mode === 'report' ? 'would be refused: ' : ''}${texts.join('; ')}`.slice(0, 500)
}
