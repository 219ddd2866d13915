// The one form that schemas of all versions are brought into: known keywords, with values that are as they should be.

import type { TextTest } from './text-tests.ts'

/** Keywords with one schema. */
export const singleKeywords = [
  ...['not', 'if', 'then', 'else', 'items', 'additionalProperties', 'contains', 'propertyNames'],
  ...['unevaluatedItems', 'unevaluatedProperties'],
] as const
/** Keywords with a list of schemas. */
export const listKeywords = ['allOf', 'anyOf', 'oneOf', 'prefixItems'] as const
/** Keywords with schemas by name. */
export const mapKeywords = ['properties', 'patternProperties', 'dependentSchemas'] as const
/** Keywords with a whole number from 0. */
export const countKeywords = [
  ...['minLength', 'maxLength', 'minItems', 'maxItems', 'minProperties', 'maxProperties', 'minContains', 'maxContains'],
] as const
/** Keywords with a number. */
export const numberKeywords = ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'] as const

/** Keywords whose schemas look at the same value. */
export const inPlaceKeywords: readonly string[] = [
  ...['allOf', 'anyOf', 'oneOf', 'not', 'if', 'then', 'else', 'dependentSchemas'],
]

export type Schema = boolean | SchemaFields

export interface SchemaFields
  extends Partial<Record<(typeof singleKeywords)[number], Schema>>,
    Partial<Record<(typeof listKeywords)[number], readonly Schema[]>>,
    Partial<Record<(typeof countKeywords)[number] | (typeof numberKeywords)[number], number>> {
  /** Keys of definitions, for `$ref` and `$dynamicRef`. */
  refs?: readonly string[]
  type?: readonly string[]
  const?: { readonly value: unknown }
  enum?: readonly unknown[]
  uniqueItems?: true
  required?: readonly string[]
  dependentRequired?: ReadonlyMap<string, readonly string[]>
  dependentSchemas?: ReadonlyMap<string, Schema>
  properties?: ReadonlyMap<string, Schema>
  patternProperties?: readonly { readonly test: TextTest; readonly schema: Schema }[]
  /** Of `pattern` and `format`. */
  texts?: readonly TextTest[]
  /** Of `format`, for numbers. */
  range?: { readonly low: number; readonly high: number; readonly name: string }
}
