// Changes that a service may ask for: to header fields and to the query of a call.

import { decodeForm } from '../../core/query.ts'
import { encodePercent } from '../../core/percent.ts'
import type { Headers } from '../../core/headers.ts'
import { isHttpName } from '../../core/http-name.ts'

/** In the order of the published numbers. */
export const fieldActions = ['append', 'add-if-absent', 'overwrite', 'overwrite-if-exists'] as const

export interface FieldEdit {
  readonly name: string
  readonly value: string
  readonly action: (typeof fieldActions)[number]
}

/** Sets a parameter, or removes it where the value is null. */
export interface QueryEdit {
  readonly name: string
  readonly value: string | null
}

/** @throws Error for what no message may carry. */
export function fieldEdit(name: string, value: string, action: FieldEdit['action'] = 'append'): FieldEdit {
  if (!isHttpName(name)) throw new Error('the service sent a field whose name is none')
  if (!/^[\t -~\u0080-\u00ff]*$/.test(value)) throw new Error(`the service sent a field \`${name}\` that is none`)
  return { name, value, action }
}

export function editFields(headers: Headers, edits: readonly FieldEdit[]): void {
  for (const { name, value, action } of edits) {
    const isThere = action !== 'append' && headers.has(name.toLowerCase())
    if (action === 'append' || (action === 'add-if-absent' && !isThere)) headers.add(name, value)
    else if (action === 'overwrite' || (action === 'overwrite-if-exists' && isThere)) headers.set(name, value)
  }
}

/** The target with other parameters; those that no edit names stay byte for byte. */
export function editQuery(target: string, edits: readonly QueryEdit[]): string {
  if (edits.length === 0) return target
  const at = target.indexOf('?')
  let parts = at < 0 ? [] : target.slice(at + 1).split('&')
  for (const { name, value } of edits) {
    parts = parts.filter(part => decodeForm(part.split('=', 1)[0] ?? '') !== name)
    if (value !== null) parts.push(`${encodePercent(name)}=${encodePercent(value)}`)
  }
  const path = at < 0 ? target : target.slice(0, at)
  return parts.length === 0 ? path : `${path}?${parts.join('&')}`
}
