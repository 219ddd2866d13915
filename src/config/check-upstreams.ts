// What a schema cannot say about upstreams: settings that contradict each other.

import { checkFieldName } from '../core/field-name.ts'
import { OptionsError } from '../core/policy.ts'
import { checkAffinity } from './check-affinity.ts'
import { checkIdleSettings } from './check-idle-settings.ts'
import { checkResilience } from './check-resilience.ts'
import type { Found } from './found.ts'
import { headSpan, numberOf, partOf, partsOf, textOf } from './found-read.ts'
import type { Finding } from './problem.ts'

/** `blueprint` may be broken in parts. */
export function checkUpstreams(blueprint: Found, findings: Finding[]): void {
  const workers = numberOf(partOf(blueprint, 'workers')) ?? 0
  for (const [name, upstream] of partOf(blueprint, 'upstreams')?.children ?? []) {
    checkTargets(String(name), upstream, findings)
    checkCertificate(String(name), partOf(upstream, 'tls'), findings)
    checkProtocol(upstream, findings)
    checkIdleSettings(upstream, blueprint, findings)
    checkAffinity(upstream, findings)
    checkHealth(upstream, findings)
    checkResilience(upstream, findings)
    const connections = partOf(partOf(upstream, 'limits'), 'connections')
    const count = numberOf(connections)
    if (connections !== null && count !== null && count < workers) {
      const message = `${count} ${count === 1 ? 'connection is' : 'connections are'} too few for ${workers} workers`
      const hint = `The workers share them evenly: allow at least ${workers}, or run fewer \`workers\`.`
      findings.push({ message, hint, span: connections.span })
    }
  }
}

function checkCertificate(name: string, tls: Found | null, findings: Finding[]): void {
  const [cert, key] = [partOf(tls, 'cert'), partOf(tls, 'key')]
  if (tls === null || tls.isBroken || (textOf(cert) === null) === (textOf(key) === null)) return
  const message = `the upstream \`${name}\` needs \`cert\` and \`key\` together`
  findings.push({ message, hint: 'Write both, or none.', span: headSpan((textOf(cert) === null ? key : cert) ?? tls) })
}

/** A PROXY header speaks for a connection, and over HTTP/2 the calls of many clients share one. */
function checkProtocol(upstream: Found, findings: Finding[]): void {
  const [protocol, proxied] = [partOf(upstream, 'protocol'), partOf(upstream, 'proxyProtocol')]
  if (protocol === null || proxied === null || protocol.isBroken || !isWritten(proxied)) return
  if (protocol.value === 'http1') return
  findings.push({
    message: `\`proxyProtocol\` does not go with \`protocol: ${String(protocol.value)}\``,
    hint: 'A PROXY header says who the client of a connection is, and clients share those of HTTP/2. Leave one of them out.',
    span: proxied.keySpan ?? proxied.span,
  })
}

function isWritten(part: Found | null): boolean {
  return part !== null && part.value !== null
}

function checkHealth(upstream: Found, findings: Finding[]): void {
  const [health, ejection] = [partOf(upstream, 'health'), partOf(upstream, 'ejection')]
  for (const [name, field] of partOf(health, 'headers')?.children ?? []) {
    try {
      checkFieldName(String(name), [])
    } catch (error) {
      if (!(error instanceof OptionsError)) throw error
      findings.push({ message: error.message, hint: error.hint, span: field.keySpan ?? field.span })
    }
  }
  const [base, most] = [partOf(ejection, 'baseTime'), partOf(ejection, 'maxTime')]
  const [baseMs, mostMs] = [numberOf(base), numberOf(most)]
  if (base !== null && baseMs !== null && mostMs !== null && baseMs > mostMs) {
    const hint = 'Make `baseTime` shorter, or `maxTime` longer.'
    findings.push({ message: '`baseTime` is longer than `maxTime`', hint, span: base.keySpan ?? base.span })
  }
  if (isWritten(health) || isWritten(ejection)) return
  const later = partsOf(partOf(upstream, 'targets')).find(target => (numberOf(partOf(target, 'priority')) ?? 0) > 0)
  const priority = partOf(later ?? null, 'priority')
  if (priority === null) return
  findings.push({
    message: 'nobody would find out that the targets before this `priority` are sick',
    hint: 'Add `health` or `ejection` to the upstream.',
    span: priority.keySpan ?? priority.span,
  })
}

function checkTargets(name: string, upstream: Found, findings: Finding[]): void {
  const part = partOf(upstream, 'targets')
  checkPriorities(part, findings)
  const isIdle = partsOf(part).every(target => numberOf(partOf(target, 'weight')) === 0)
  if (part === null || part.isBroken || !isIdle) return
  const message = `all targets of the upstream \`${name}\` have the weight 0, so none gets a call`
  findings.push({ message, hint: 'Give at least one target a `weight` of 1 or more.', span: headSpan(part) })
}

/** One address cannot stand in two groups. */
function checkPriorities(targets: Found | null, findings: Finding[]): void {
  const known = new Map<string, number>()
  for (const target of partsOf(targets)) {
    const [url, priority] = [textOf(partOf(target, 'url')), numberOf(partOf(target, 'priority'))]
    if (url === null || priority === null) continue
    const before = known.get(url) ?? priority
    known.set(url, before)
    if (before === priority) continue
    const part = partOf(target, 'priority') ?? target
    findings.push({
      message: `the target ${url} stands in the groups ${before} and ${priority}`,
      hint: 'Write each target once, with one `priority`.',
      span: part.keySpan ?? part.span,
    })
  }
}
