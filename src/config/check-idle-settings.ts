// What a schema cannot say about upstreams: settings that do nothing beside the others, so that something else was meant.

import { compilePattern } from '../core/pattern.ts'
import { compileTemplate } from '../core/template.ts'
import type { Found } from './found.ts'
import { numberOf, partOf, partsOf, textOf } from './found-read.ts'
import type { Finding } from './problem.ts'

export function checkIdleSettings(upstream: Found, blueprint: Found, findings: Finding[]): void {
  const say = (at: Found, message: string, hint: string) =>
    findings.push({ message, hint, span: at.keySpan ?? at.span })
  checkHash(upstream, blueprint, say)
  checkTls(upstream, say)
  checkGrpcHealth(partOf(upstream, 'health'), say)
  checkEjection(partOf(upstream, 'ejection'), say)
}

type Say = (at: Found, message: string, hint: string) => void

function checkHash(upstream: Found, blueprint: Found, say: Say): void {
  const balance = partOf(upstream, 'balance')
  if (balance === null || balance.isBroken || (partOf(upstream, 'affinity')?.value ?? null) !== null) return
  for (const key of ['hashBy', 'boundedLoad']) {
    const part = partOf(upstream, key)
    if (part === null || part.value === null || balance.value === 'hash') continue
    const message = `\`${key}\` has no effect with \`balance: ${String(balance.value)}\``
    say(part, message, `Write \`balance: hash\`, or leave \`${key}\` out.`)
  }
  const hashBy = partOf(upstream, 'hashBy')
  const text = textOf(hashBy)
  if (hashBy === null || text === null) return
  const { isConstant, paramNames } = compileTemplate(text)
  if (isConstant) {
    say(hashBy, '`hashBy` says the same of every call, so that one target gets them all', hashHint)
  }
  const bound = paramsOfRoutes(blueprint)
  const loose = bound === null ? undefined : paramNames.find(name => !bound.has(name))
  if (loose !== undefined) say(hashBy, `\`{${loose}}\` is bound by the path of no route`, hashHint)
}

const hashHint = 'Write what tells callers apart, such as `"{header.x-user}"` or `"{client.address}"`.'

/** The names that paths of routes bind; null where one of them is broken, so that it is not known. */
function paramsOfRoutes(blueprint: Found): ReadonlySet<string> | null {
  const names = new Set<string>()
  for (const route of partsOf(partOf(blueprint, 'routes'))) {
    for (const match of partsOf(partOf(route, 'match'))) {
      const path = partOf(match, 'path')
      if (match.isBroken || path?.isBroken === true) return null
      for (const name of path === null ? [] : paramsOf(textOf(path))) names.add(name)
    }
  }
  return names
}

function paramsOf(path: string | null): readonly string[] {
  return path === null ? [] : compilePattern(path).paramNames
}

/** Whoever writes it thinks that calls go over TLS; they would go in the clear. */
function checkTls(upstream: Found, say: Say): void {
  const tls = partOf(upstream, 'tls')
  const targets = partOf(upstream, 'targets')
  if (tls === null || tls.keySpan === null || targets === null || targets.isBroken) return
  if (partsOf(targets).some(target => textOf(partOf(target, 'url'))?.startsWith('https:') === true)) return
  const hint = 'Write targets such as `https://10.0.0.7:9001`, or leave `tls` out.'
  say(tls, '`tls` has no effect: no target has the scheme `https`', hint)
}

function checkGrpcHealth(health: Found | null, say: Say): void {
  if ((partOf(health, 'grpc')?.value ?? null) === null) return
  for (const key of ['path', 'method', 'statuses']) {
    const part = partOf(health, key)
    if (part === null || part.keySpan === null) continue
    say(part, `\`${key}\` has no effect with \`grpc\``, `A check is one of both: leave \`${key}\` or \`grpc\` out.`)
  }
}

function checkEjection(ejection: Found | null, say: Say): void {
  const consecutive = partOf(ejection, 'consecutive')
  if (consecutive === null || numberOf(consecutive) !== 0 || partOf(ejection, 'successRate')?.value !== null) return
  say(consecutive, '`ejection` ejects nothing', 'Let `consecutive` be 1 or more, or write `successRate: {}`.')
}
