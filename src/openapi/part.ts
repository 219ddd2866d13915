// Parts of documents: a value and the place where it stands, and what is wrong there.

export type Fields = Readonly<Record<string, unknown>>

/** What is wrong with a document, and where in it. */
export class DocumentError extends Error {
  /** Where, as `Part.pointer` says it. */
  readonly pointer: string
  /** How to mend it, one sentence. */
  readonly hint: string

  constructor(message: string, pointer: string, hint: string) {
    super(pointer === '' ? message : `${message} (at ${pointer})`)
    this.name = 'DocumentError'
    this.pointer = pointer
    this.hint = hint
  }
}

/** A part of a document and the pointer that leads to it. */
export interface Part {
  readonly value: unknown
  /** A JSON pointer such as `/paths/~1users/get`; in another file behind its name, such as `pets.yaml#/Pet`. */
  readonly pointer: string
}

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The member of an object that the document itself wrote, never one that all objects have. */
export function member(fields: Fields, name: string): unknown {
  return Object.hasOwn(fields, name) ? fields[name] : undefined
}

export function within(pointer: string, ...names: readonly (string | number)[]): string {
  return pointer + names.map(name => `/${String(name).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
}
