// One request of the admin API and its answer.

import { type IncomingHttpHeaders, STATUS_CODES } from 'node:http'
import type { AdminView } from './admin-view.ts'
import type { Management } from './management.ts'

export interface Answer {
  readonly status: number
  readonly contentType: string
  readonly text: string
  readonly headers?: Readonly<Record<string, string>>
}

export interface AdminRequest {
  readonly headers: IncomingHttpHeaders
  /** What the groups of the path matched, percent-decoded. */
  readonly parameters: readonly string[]
  readonly query: URLSearchParams
  /** The body as text; empty without one. */
  readonly body: string
}

export interface Endpoint {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  readonly path: RegExp
  /** Readable under any name where the server listens beyond loopback, so that scrapers and probes can use DNS names. */
  readonly isPublic?: boolean
  /** Changes or shows who may call: beyond loopback it needs a token. */
  readonly isManagement?: boolean
  answer(request: AdminRequest, view: AdminView, management: Management): Answer | Promise<Answer>
}

export function json(status: number, value: unknown): Answer {
  return { status, contentType: 'application/json', text: `${JSON.stringify(value, null, 2)}\n` }
}

/** What is wrong with one member of a body. */
export interface MemberError {
  readonly member: string
  readonly message: string
  readonly hint: string
}

/** Problem details, RFC 9457. */
export function problem(status: number, detail: string, errors: readonly MemberError[] = []): Answer {
  const members = errors.length === 0 ? {} : { errors }
  const text = JSON.stringify({ title: STATUS_CODES[status], status, detail, ...members }, null, 2)
  return { status, contentType: 'application/problem+json', text: `${text}\n` }
}
