// What a schema cannot say about upstreams: settings that contradict each other.

import type { Found } from './found.ts'
import { headSpan, numberOf, partOf, partsOf, textOf } from './found-read.ts'
import type { Finding } from './problem.ts'

/** `blueprint` may be broken in parts. */
export function checkUpstreams(blueprint: Found, findings: Finding[]): void {
  const workers = numberOf(partOf(blueprint, 'workers')) ?? 0
  for (const [name, upstream] of partOf(blueprint, 'upstreams')?.children ?? []) {
    checkTargets(String(name), upstream, findings)
    checkCertificate(String(name), partOf(upstream, 'tls'), findings)
    const hashBy = partOf(upstream, 'hashBy')
    const balance = partOf(upstream, 'balance')
    if (hashBy !== null && hashBy.value !== null && balance?.isBroken === false && balance.value !== 'hash') {
      const message = `\`hashBy\` has no effect with \`balance: ${String(balance.value)}\``
      findings.push({
        message,
        hint: 'Write `balance: hash`, or leave `hashBy` out.',
        span: hashBy.keySpan ?? hashBy.span,
      })
    }
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

function checkTargets(name: string, upstream: Found, findings: Finding[]): void {
  const part = partOf(upstream, 'targets')
  const isIdle = partsOf(part).every(target => numberOf(partOf(target, 'weight')) === 0)
  if (part === null || part.isBroken || !isIdle) return
  const message = `all targets of the upstream \`${name}\` have the weight 0, so none gets a call`
  findings.push({ message, hint: 'Give at least one target a `weight` of 1 or more.', span: headSpan(part) })
}
