// Whether a signature covers what it must.

import type { Component } from './components.ts'

/** Parts of the target that stand in another component as well. */
const within: Readonly<Record<string, readonly string[]>> = {
  '@scheme': ['@target-uri'],
  '@authority': ['@target-uri'],
  '@path': ['@target-uri', '@request-target'],
  '@query': ['@target-uri', '@request-target'],
}

/** Null where all is covered, else the name of what is not. */
export function lackOf(covered: readonly Component[], wanted: readonly Component[]): string | null {
  return wanted.find(component => !isCovered(component, covered))?.name ?? null
}

/** A field is covered by any identifier that stands for all of its value. */
function isCovered(wanted: Component, covered: readonly Component[]): boolean {
  const also = wanted.name.startsWith('@') && Object.hasOwn(within, wanted.name) ? within[wanted.name] : []
  const isField = !wanted.name.startsWith('@') && wanted.identifier === `"${wanted.name}"`
  return covered.some(
    ({ identity, name, isWhole }) =>
      identity === wanted.identity || also?.includes(name) === true || (isField && name === wanted.name && isWhole),
  )
}
