// What a schema cannot say about overload: bounds that do not rise with the priority, and such as bound nothing.

import type { Found } from './found.ts'
import { headSpan, numberOf, partOf } from './found-read.ts'
import type { Finding } from './problem.ts'

const steps = [
  ['low', 'normal'],
  ['normal', 'high'],
] as const

/** `blueprint` may be broken in parts. */
export function checkOverload(blueprint: Found, findings: Finding[]): void {
  const overload = partOf(blueprint, 'overload')
  for (const guard of ['memory', 'delay']) {
    const bounds = partOf(overload, guard)
    checkIdle(bounds, findings)
    checkResume(bounds, findings)
    for (const [before, after] of steps) {
      const [lower, upper] = [partOf(bounds, before), partOf(bounds, after)]
      const [low, high] = [numberOf(lower), numberOf(upper)]
      if (lower === null || upper === null || low === null || high === null || low <= high) continue
      findings.push({
        message: `\`overload.${guard}\` refuses calls of priority \`${after}\` before those of \`${before}\``,
        hint: 'Let the bounds rise from `low` over `normal` to `high`; equal ones are fine.',
        // The default is written nowhere: then the other one is to blame.
        span: headSpan(lower.keySpan === null ? upper : lower),
      })
    }
  }
}

function checkIdle(bounds: Found | null, findings: Finding[]): void {
  if (partOf(bounds, 'enabled')?.value !== false) return
  for (const [key, part] of bounds?.children ?? []) {
    if (key === 'enabled' || part.keySpan === null) continue
    const message = `\`${key}\` has no effect with \`enabled: false\``
    findings.push({ message, hint: 'Leave one of them out.', span: part.keySpan })
  }
}

function checkResume(bounds: Found | null, findings: Finding[]): void {
  const resume = partOf(bounds, 'resume')
  const share = numberOf(resume)
  if (resume === null || share !== 0) return
  findings.push({
    message: 'calls would never be taken again',
    hint: 'Write a `resume` above `0%`.',
    span: headSpan(resume),
  })
}
