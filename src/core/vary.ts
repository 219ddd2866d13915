// The Vary field: which request fields a reply was chosen by (RFC 9110 §12.5.5).

import type { Headers } from './headers.ts'

/** Adds a name to the fields that a reply was chosen by; nothing where it stands there already. */
export function addVary(headers: Headers, name: string): void {
  if (!headers.has('vary')) return headers.add('vary', name)
  const values = headers.all('vary')
  const names = values.flatMap(value => value.toLowerCase().split(',')).map(part => part.trim())
  if (names.includes('*') || names.includes(name.toLowerCase())) return
  headers.set('vary', [...values, name].join(', '))
}
