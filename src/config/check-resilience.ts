// What a schema cannot say about retries, breakers, adaptive limits, hedging and deadlines of upstreams.

import { isOwnField } from '../core/field-name.ts'
import { isHttpName } from '../core/http-name.ts'
import { isGrpcReason } from '../core/retry-schema.ts'
import type { Found } from './found.ts'
import { headSpan, numberOf, partOf, partsOf, textOf } from './found-read.ts'
import type { Finding } from './problem.ts'

export function checkResilience(upstream: Found, findings: Finding[]): void {
  checkRetry(upstream, findings)
  checkHedge(partOf(upstream, 'hedge'), findings)
  checkAdaptive(partOf(upstream, 'adaptive'), findings)
  checkDeadlineHeader(partOf(upstream, 'deadlineHeader'), findings)
}

/** gRPC is not spoken over HTTP/1.1, so that no reply has one of its statuses. */
function checkRetry(upstream: Found, findings: Finding[]): void {
  if (textOf(partOf(upstream, 'protocol')) !== 'http1') return
  const reason = partsOf(partOf(partOf(upstream, 'retry'), 'on')).find(one => isGrpcReason(textOf(one) ?? ''))
  if (reason === undefined) return
  findings.push({
    message: `\`${textOf(reason)}\` has no effect with \`protocol: http1\`, which cannot carry gRPC`,
    hint: 'Write `protocol: http2`, or leave the statuses of gRPC out.',
    span: reason.span,
  })
}

function checkHedge(hedge: Found | null, findings: Finding[]): void {
  if (hedge === null || hedge.isBroken || hedge.children === null) return
  if (partOf(hedge, 'after')?.value !== null || partOf(hedge, 'percentile')?.value !== null) return
  findings.push({
    message: '`hedge` does not say how long to wait for a reply',
    hint: 'Write `after: 100ms`, or `percentile: 95%`.',
    span: headSpan(hedge),
  })
}

function checkAdaptive(adaptive: Found | null, findings: Finding[]): void {
  const [least, most] = [partOf(adaptive, 'min'), partOf(adaptive, 'max')]
  const [min, max] = [numberOf(least), numberOf(most)]
  if (least === null || min === null || max === null || min <= max) return
  findings.push({
    message: `\`min\` is ${min}, but \`max\` is ${max}`,
    hint: 'Make `min` smaller, or `max` larger.',
    span: least.keySpan ?? least.span,
  })
}

function checkDeadlineHeader(header: Found | null, findings: Finding[]): void {
  const name = textOf(header)
  if (header === null || name === null) return
  if (isHttpName(name) && !isOwnField(name.toLowerCase())) return
  findings.push({
    message: `\`${name}\` is no header field that can tell a deadline`,
    hint: 'Write a name such as `x-envoy-expected-rq-timeout-ms`.',
    span: header.span,
  })
}
