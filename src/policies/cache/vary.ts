// Which stored reply fits a request, by the fields that its Vary names (RFC 9111 §4.1).

import { plainName } from '../../core/drop-fields.ts'
import type { Headers } from '../../core/headers.ts'
import { splitList } from './directives.ts'

/** Names and values, one behind the other; empty for a reply that fits every request. */
export type Selection = readonly string[]

/** Null for `*`, which no other request ever fits. */
export function selectionOf(vary: readonly string[], request: Headers): Selection | null {
  if (vary.length === 0) return []
  const names = new Set(vary.flatMap(splitList).map(name => name.toLowerCase()))
  names.delete('')
  if (names.has('*')) return null
  return [...names].sort().flatMap(name => [name, normalValue(name, request)])
}

/** The first that fits: selections of one resource mostly name the same fields, whose values are looked up once. */
export function findSelected<T extends { readonly selection: Selection }>(
  variants: readonly T[],
  request: Headers,
  isAllowed: (variant: T) => boolean,
): T | null {
  const [first] = variants
  if (first === undefined) return null
  // Hot path: most resources have one form, and nothing to choose by.
  if (first.selection.length === 0 && isAllowed(first)) return first
  let values: Map<string, string> | null = null
  const valueOf = (name: string): string => {
    values ??= new Map()
    const known = values.get(name) ?? normalValue(name, request)
    values.set(name, known)
    return known
  }
  const isSelected = (selection: Selection): boolean => {
    for (let i = 0; i < selection.length; i += 2) if (valueOf(selection[i] as string) !== selection[i + 1]) return false
    return true
  }
  for (const variant of variants) if (isAllowed(variant) && isSelected(variant.selection)) return variant
  return null
}

/** Whether a field of the request would be another spelling of one that the reply was chosen by: a service may have taken that one. */
export function isAmbiguous(selection: Selection, { list }: Headers): boolean {
  for (let i = 1; i < list.length; i += 3) {
    const key = list[i] as string
    if (!key.includes('_')) continue
    const plain = plainName(key)
    for (let at = 0; at < selection.length; at += 2)
      if (plainName(selection[at] as string) === plain && selection[at] !== key) return true
  }
  return false
}

/** Lists whose items are the same in any case. */
const plainLists: ReadonlySet<string> = new Set(['accept-encoding', 'accept-language', 'accept-charset'])

/** Differences of form alone are none: white space, how a list is spread over lines, case where it says nothing, the order of codings. */
function normalValue(name: string, request: Headers): string {
  const values = request.all(name)
  if (values.length === 0) return ''
  const items = values.flatMap(splitList)
  if (!plainLists.has(name)) return `=${items.join(',')}`
  const plain = items.map(item => item.toLowerCase().replaceAll(/\s+/g, ''))
  return `=${(name === 'accept-encoding' ? plain.sort() : plain).join(',')}`
}
