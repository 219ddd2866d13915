// The answer to a call.

import type { Duplex } from 'node:stream'
import { Body } from './body.ts'
import { codes, type FailureCode } from './codes.ts'
import type { Failure } from './failure.ts'
import { Headers } from './headers.ts'

/** The two-way byte stream behind a 101 reply. Whoever takes it destroys it. */
export interface Tunnel {
  readonly socket: Duplex
  /** Bytes that the upstream sent right behind its reply head. */
  readonly head: Buffer
}

/** One final reply. Hop-by-hop fields are never among its headers: the edge writes its own. */
export class Reply {
  status: number
  /** Reason phrase; empty for the registered one. */
  reason = ''
  headers: Headers
  body: Body
  /** Set with status 101 only. */
  tunnel: Tunnel | null = null
  /** Set when the gateway itself denied or failed the call; for metrics and the log. */
  code: FailureCode | null = null
  /** The breakage that this reply tells of, for the log. */
  failure: Failure | null = null

  constructor(status: number, headers: Headers, body: Body) {
    this.status = status
    this.headers = headers
    this.body = body
  }

  static empty(status: number): Reply {
    return new Reply(status, new Headers(), Body.empty)
  }

  static text(status: number, text: string, contentType = 'text/plain; charset=utf-8'): Reply {
    const headers = new Headers()
    headers.add('content-type', contentType)
    return new Reply(status, headers, Body.of(text))
  }

  /** The one way a Failure becomes a Reply. */
  static ofFailure(failure: Failure): Reply {
    const reply = Reply.problem(failure.code, failure.publicText)
    reply.failure = failure
    return reply
  }

  /** A refusal or breakage as RFC 9457 problem details: a policy's denial is `return Reply.problem('address-denied')`. `members` go along. */
  static problem(code: FailureCode, detail?: string, members: Readonly<Record<string, unknown>> = {}): Reply {
    const { status, text } = codes[code]
    if (detail === text) return Reply.problem(code, undefined, members)
    const problem = {
      type: `urn:turnpike:error:${code}`,
      title: text,
      status,
      code,
      ...(detail && { detail }),
      ...members,
    }
    const reply = Reply.text(status, JSON.stringify(problem), 'application/problem+json')
    reply.code = code
    return reply
  }
}
