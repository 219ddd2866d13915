// Reading resolved values: by path, whole or not at all.

import type { Found } from './found.ts'
import type { Span } from './problem.ts'

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

/**
 * The value, or null while anything in it is broken. The one border where a resolved value gets its type: the caller names
 * the type of the schema that the value was resolved along.
 */
export function whole<T>(found: Found | null): T | null {
  return found === null || found.isBroken ? null : (found.value as T)
}

/** Where to point for a value that is made of parts: at its key, else at its beginning. */
export function headSpan(found: Found): Span {
  if (found.children === null) return found.span
  return found.keySpan ?? { ...found.span, end: found.span.start + 1 }
}
