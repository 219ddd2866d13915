// Schemas of an OpenAPI document to functions that look for mistakes in values.

import type { OpenApiDocument } from './document.ts'
import type { Part } from './part.ts'
import { type Check, type Mistake, TooComplex } from './run.ts'
import { schemaCheck } from './schema-check.ts'
import { Translation, type TranslationOptions } from './translate.ts'

/** The mistakes of a value; empty where it is as the schema says. `bytes` is how long it was as a text. */
export type Validator = (value: unknown, bytes?: number) => readonly Mistake[]

/** What a value may cost: recursive schemas with alternatives may look at one part many times. */
const stepsMin = 1_000_000
const stepsPerByte = 20

/** Makes validators of one document, for messages of one direction. What schemas share is compiled once. */
export class Schemas {
  readonly #translation: Translation
  readonly #checks = new Map<string, Check>()

  constructor(document: OpenApiDocument, options: TranslationOptions) {
    this.#translation = new Translation(document, options)
  }

  /** Reads the schema now and compiles it when it is first needed. @throws DocumentError for what is no good schema. */
  validator(part: Part): Validator {
    const key = this.#translation.root(part)
    let check: Check | null = null
    return (value, bytes = 0) => mistakesOf((check ??= this.#check(key)), value, stepsMin + bytes * stepsPerByte)
  }

  #check(key: string): Check {
    const known = this.#checks.get(key)
    if (known !== undefined) return known
    const check = schemaCheck(this.#translation.schema(key), other => this.#check(other))
    this.#checks.set(key, check)
    return check
  }
}

/** Looks twice: the first time to be fast, and where that finds a mistake, to say what is wrong. */
function mistakesOf(check: Check, value: unknown, steps: number): readonly Mistake[] {
  const isRight = tried(() => check(value, { steps, path: [], mistakes: null, choices: 0 }, null))
  if (isRight === true) return []
  if (isRight === null) return [{ pointer: '', message: 'is too complex to be checked' }]
  const found: Mistake[] = []
  tried(() => check(value, { steps, path: [], mistakes: found, choices: 0 }, null))
  return found.length > 0 ? found : [{ pointer: '', message: 'is not as it should be' }]
}

/** Null where it takes too many steps, or the value is nested more deeply than the stack allows. */
function tried(look: () => boolean): boolean | null {
  try {
    return look()
  } catch (error) {
    if (error instanceof TooComplex || error instanceof RangeError) return null
    throw error
  }
}
