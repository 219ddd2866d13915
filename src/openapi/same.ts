// Whether two JSON values are the same (2020-12, section 4.2.2).

import { isFields } from './part.ts'
import { type Run, spend } from './run.ts'

export function isSame(a: unknown, b: unknown, run: Run): boolean {
  if (typeof a !== 'object' || a === null || typeof b !== 'object' || b === null) return a === b
  spend(run, 1)
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((item, index) => isSame(item, b[index], run))
  }
  if (!isFields(a) || !isFields(b)) return false
  const names = Object.keys(a)
  return (
    names.length === Object.keys(b).length &&
    names.every(name => Object.hasOwn(b, name) && isSame(a[name], b[name], run))
  )
}

/** A key that is the same for values that are the same, and only for these: comparing each with each would take too long. */
export function keyOf(value: unknown, run: Run): unknown {
  return typeof value === 'object' && value !== null
    ? `{${textOf(value, run)}`
    : typeof value === 'string'
      ? `"${value}`
      : value
}

function textOf(value: unknown, run: Run): string {
  spend(run, 1)
  if (Array.isArray(value)) return `[${value.map(item => textOf(item, run)).join()}]`
  if (!isFields(value)) return JSON.stringify(value === 0 ? 0 : value)
  const members = Object.keys(value).sort()
  return `{${members.map(name => `${JSON.stringify(name)}:${textOf(value[name], run)}`).join()}}`
}
