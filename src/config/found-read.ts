// Reading resolved values: by path, by key, as text or number.

import type { Found } from './found.ts'
import { headOf, type Span } from './problem.ts'

/** The part at a path; the nearest one above it where there is none. */
export function partAt(found: Found, path: readonly (string | number)[]): Found {
  let part = found
  for (const key of path) {
    const next = part.children?.get(key)
    if (next === undefined) return part
    part = next
  }
  return part
}

/** The part behind a key, if there is one. */
export function partOf(found: Found | null, key: string | number): Found | null {
  return found?.children?.get(key) ?? null
}

/** The parts of a list or map. */
export function partsOf(found: Found | null): Found[] {
  return [...(found?.children?.values() ?? [])]
}

/** The text of a part; null where it is none, or broken. */
export function textOf(found: Found | null): string | null {
  return typeof found?.value === 'string' && !found.isBroken ? found.value : null
}

/** The number of a part; null where it is none, or broken. */
export function numberOf(found: Found | null): number | null {
  return typeof found?.value === 'number' && !found.isBroken ? found.value : null
}

/** Where to point for a value that is made of parts: at its key, else at its beginning. */
export function headSpan(found: Found): Span {
  if (found.children === null) return found.span
  return found.keySpan ?? headOf(found.span)
}
