// A service that is asked over gRPC by the contract of Envoy, `envoy.service.auth.v3.Authorization/Check`.

import { isOwnField } from '../../core/field-name.ts'
import type { Call } from '../../core/call.ts'
import type { PolicyPorts } from '../../core/policy.ts'
import type { Answer } from './answer.ts'
import { type CheckRequestOptions, compileCheckRequest } from './check-request.ts'
import { type CheckResponse, type DeniedResponse, type OkResponse, readCheckResponse } from './check-response.ts'
import type { FieldEdit } from './edits.ts'
import { removedBy } from './http-service.ts'

export interface GrpcOptions extends CheckRequestOptions {
  /** `grpc:` or `grpcs:`. */
  readonly url: string
  readonly upstreamHeaders: readonly string[]
  readonly timeout: number
}

const path = '/envoy.service.auth.v3.Authorization/Check'

/** Rejects where the service gives no proper answer. `body` is null where the service is not told it. */
export function grpcService(
  options: GrpcOptions,
  ports: PolicyPorts,
  bytesMax: number,
): (call: Call, body: Buffer | null) => Promise<Answer> {
  const url = options.url.replace(/^grpc/, 'http')
  const encode = compileCheckRequest(options, ports.clock)
  const names = new Map(options.upstreamHeaders.map(name => [name.toLowerCase(), name]))
  const report = unlistedReporter(ports)
  return async (call, body) => {
    const message = await ports.outside.rpc({
      url,
      path,
      message: encode(call, body),
      timeoutMs: options.timeout,
      bodyBytesMax: bytesMax,
      isRepeatable: true,
    })
    const response = readCheckResponse(Buffer.from(message.buffer, message.byteOffset, message.length))
    return answerOf(response, names, report)
  }
}

/** @throws Error for an answer that says nothing, or that says yes and no. */
function answerOf(
  { code, ok, denied }: CheckResponse,
  names: ReadonlyMap<string, string>,
  report: (name: string) => void,
): Answer {
  if (code === null && ok === null) throw new Error('the answer of the service has no status')
  if (code !== null && code !== 0) return denial(denied)
  if (denied !== null) throw new Error('the answer of the service denies with status OK')
  return passOf(ok, names, report)
}

function denial(denied: DeniedResponse | null): Answer {
  const { status, body, headers } = denied ?? { status: 403, body: Buffer.alloc(0), headers: [] }
  if (status < 200 || status > 599) throw new Error(`the service denied with status ${status}`)
  return { passes: false, status, body, replyFields: forReply(headers) }
}

function passOf(ok: OkResponse | null, names: ReadonlyMap<string, string>, report: (name: string) => void): Answer {
  const fields = (ok?.headers ?? []).flatMap(edit => {
    const name = names.get(edit.name.toLowerCase())
    if (name !== undefined) return [{ ...edit, name }]
    report(edit.name)
    return []
  })
  return {
    passes: true,
    fields,
    removed: removedBy(ok?.removed ?? []),
    query: ok?.query ?? [],
    replyFields: forReply(ok?.replyHeaders ?? []),
  }
}

function forReply(edits: readonly FieldEdit[]): readonly FieldEdit[] {
  return edits.filter(({ name }) => !isOwnField(name.toLowerCase()))
}

/** Says once of a name that the service sets it in vain; the first few names. */
function unlistedReporter({ log }: PolicyPorts): (name: string) => void {
  const told = new Set<string>()
  return name => {
    const key = name.toLowerCase()
    if (told.has(key) || told.size >= 16) return
    told.add(key)
    log.warn({ field: key }, 'the external service sets a field that `upstreamHeaders` does not name; it is left out')
  }
}
