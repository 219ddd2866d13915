// A resolved value that still knows where it was written, and the words for one that cannot be resolved.

import type { Fault, Format } from './formats.ts'
import type { Finding, Span } from './problem.ts'
import type { Tree } from './tree.ts'

/** A resolved value with its place, and the same for what it is made of. */
export interface Found {
  /** As good as could be made when `isBroken`. */
  readonly value: unknown
  readonly span: Span
  /** The key it stands behind; null for items, defaults and the whole. */
  readonly keySpan: Span | null
  readonly isBroken: boolean
  readonly children: ReadonlyMap<string | number, Found> | null
  /** The format of a text, such as `template`. */
  readonly format: string | null
}

export interface Walk {
  readonly formats: Readonly<Record<string, Format | FormatInPlace>>
  readonly findings: Finding[]
}

/** A format that depends on where the value stands, such as a path relative to its file. */
export type FormatInPlace = (text: string, span: Span) => { readonly value: unknown } | Fault

/** What the value is called in messages, and where to point when it is missing something. */
export interface Place {
  readonly name: string
  readonly keySpan: Span | null
}

/** A value without parts. */
export function leaf(value: unknown, span: Span, place: Place, format: string | null = null): Found {
  return { value, span, keySpan: place.keySpan, isBroken: false, children: null, format }
}

/** A value that could not be resolved; says why. */
export function broken(tree: Tree, place: Place, along: Walk, message: string, hint: string): Found {
  const span = tree.kind === 'scalar' && tree.value === null && place.keySpan !== null ? place.keySpan : tree.span
  along.findings.push({ message, hint, span })
  return { ...leaf(undefined, tree.span, place), isBroken: true }
}

/** A written value for a message. */
export function shown(tree: Tree): string {
  if (tree.kind === 'list') return 'a list'
  if (tree.kind === 'map') return 'a map'
  if (tree.value === null) return 'empty'
  const text = tree.written.length > 40 ? `${tree.written.slice(0, 40)}…` : tree.written
  if (tree.value === '' && text === '') return 'an empty text'
  // Quotes tell the text "80" from the number 80.
  const isQuoted = typeof tree.value === 'string' && /^(-?\d+(\.\d+)?|true|false|null)$/.test(text)
  return isQuoted ? `the text \`"${text}"\`` : `\`${text.replace(/\s+/g, ' ')}\``
}

/** The message and hint for a value of the wrong kind. */
export function mismatch(place: Place, expected: string, tree: Tree, hint: string): [message: string, hint: string] {
  if (tree.kind === 'scalar' && tree.value === null) {
    return [`\`${place.name}\` has no value`, hint === '' ? `Write ${expected} behind it.` : hint]
  }
  return [`\`${place.name}\` must be ${expected}, but is ${shown(tree)}`, hint]
}
