// The JSON Schema keywords that the config language uses, as one type to walk along.

import type { TSchema } from '../core/schema.ts'

export interface Keywords {
  readonly type?: string | readonly string[]
  readonly format?: string
  readonly description?: string
  readonly default?: unknown
  readonly examples?: readonly unknown[]
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly minimum?: number
  readonly maximum?: number
  readonly exclusiveMinimum?: number
  readonly exclusiveMaximum?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly pattern?: string
  readonly properties?: Readonly<Record<string, Keywords>>
  readonly required?: readonly string[]
  readonly additionalProperties?: boolean | Keywords
  readonly patternProperties?: Readonly<Record<string, Keywords>>
  readonly items?: Keywords
  readonly minItems?: number
  readonly maxItems?: number
  readonly anyOf?: readonly Keywords[]
  /** The object may be shortened to the value of this key. */
  readonly shorthand?: string
  /** The list may be shortened to its only item. */
  readonly oneOrMany?: boolean
  /** Stands for a policy with its options; `giving` (of the list) names a fact that it must give. */
  readonly isPolicy?: boolean
  readonly giving?: string
  /** Besides its properties the object has exactly one key out of these; resolved into two entries. */
  readonly variants?: Variants
}

export interface Variants {
  /** What the keys are, with its article: `a policy`. */
  readonly noun: string
  /** What an object without any of them lacks, as a sentence about it. */
  readonly lack: string
  readonly of: Readonly<Record<string, Keywords>>
  /** The entries of the resolved object: the key chosen, and its value. */
  readonly into: readonly [string, string]
  /** Its name among the definitions of the JSON Schema, where it stands in more than one place. */
  readonly definition?: string
}

/** A TypeBox schema is a plain JSON Schema object: this is the border where it is read as one. */
export function keywordsOf(schema: TSchema): Keywords {
  return schema
}

/** Whether `{}` or a missing value is enough, so that the thing may be named without options. */
export function acceptsNothing(schema: Keywords): boolean {
  if (schema.type !== 'object') return false
  const required = schema.required ?? []
  return required.every(key => {
    const property = schema.properties?.[key]
    return property !== undefined && 'default' in property
  })
}
