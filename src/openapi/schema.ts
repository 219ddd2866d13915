// Schemas of an OpenAPI document to functions that look for mistakes in values.

import { Compile } from 'typebox/schema'
import type { Fields, OpenApiDocument, Part } from './document.ts'
import { Translation, type TranslationOptions } from './translate.ts'

/** A mistake in a value: where, and what the schema asks for. Never holds anything of the value but names of members. */
export interface Mistake {
  /** JSON pointer into the value. */
  readonly pointer: string
  readonly message: string
}

/** The mistakes of a value; empty where it is as the schema says. */
export type Validator = (value: unknown) => readonly Mistake[]

export const mistakesMax = 10
const pointerCharactersMax = 200

/** Makes validators of one document, for messages of one direction. */
export class Schemas {
  readonly #translation: Translation

  constructor(document: OpenApiDocument, options: TranslationOptions) {
    this.#translation = new Translation(document, options)
  }

  /** Reads the schema now and compiles it when it is first needed. @throws DocumentError for what is no good schema. */
  validator(part: Part): Validator {
    const translated = this.#translation.root(part)
    let check: ReturnType<typeof compile> | null = null
    return value => {
      check ??= compile(this.#translation.whole(translated))
      return mistakesOf(check, value)
    }
  }

  /** The schema itself, behind references and translated, for what needs its types. */
  plain(part: Part): Fields {
    return this.#translation.behind(part)
  }
}

function compile(schema: Fields | boolean) {
  return Compile(schema)
}

/** Whatever cannot be checked to its end, such as what is nested deeper than the stack allows, is a mistake. */
function mistakesOf(check: ReturnType<typeof compile>, value: unknown): readonly Mistake[] {
  try {
    if (check.Check(value)) return []
    const [, errors] = check.Errors(value)
    const mistakes = errors.slice(0, mistakesMax).map(({ instancePath, keyword, params }) => ({
      pointer: instancePath.slice(0, pointerCharactersMax),
      message: messageOf(keyword, params as Fields),
    }))
    return mistakes.length > 0 ? mistakes : [{ pointer: '', message: 'is not as it should be' }]
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    return [{ pointer: '', message: 'is too complex to be checked' }]
  }
}

const messages: Readonly<Record<string, (params: Fields) => string>> = {
  type: ({ type }) => `must be of type ${listed(type)}`,
  required: ({ requiredProperties }) => `must have ${listed(requiredProperties)}`,
  additionalProperties: () => 'must not have members that the document does not name',
  unevaluatedProperties: () => 'must not have members that the document does not name',
  enum: () => 'must be one of the allowed values',
  const: () => 'must be the allowed value',
  maximum: ({ limit }) => `must be at most ${String(limit)}`,
  minimum: ({ limit }) => `must be at least ${String(limit)}`,
  exclusiveMaximum: ({ limit }) => `must be less than ${String(limit)}`,
  exclusiveMinimum: ({ limit }) => `must be more than ${String(limit)}`,
  multipleOf: ({ multipleOf }) => `must be a multiple of ${String(multipleOf)}`,
  maxLength: ({ limit }) => `must have at most ${String(limit)} characters`,
  minLength: ({ limit }) => `must have at least ${String(limit)} characters`,
  maxItems: ({ limit }) => `must have at most ${String(limit)} items`,
  minItems: ({ limit }) => `must have at least ${String(limit)} items`,
  maxProperties: ({ limit }) => `must have at most ${String(limit)} members`,
  minProperties: ({ limit }) => `must have at least ${String(limit)} members`,
  uniqueItems: () => 'must not have the same item twice',
  anyOf: () => 'must fit one of the allowed forms',
  oneOf: () => 'must fit exactly one of the allowed forms',
  not: () => 'must not be of this form',
  boolean: () => 'is not allowed here',
  '~refine': ({ message }) => String(message),
}

function messageOf(keyword: string, params: Fields): string {
  return messages[keyword]?.(params) ?? `breaks \`${keyword}\``
}

function listed(value: unknown): string {
  return Array.isArray(value) ? value.slice(0, mistakesMax).join(', ') : String(value)
}
