// Keywords that look at a value without looking into it: kinds, fixed values, texts and numbers.

import { isMultiple } from './multiple.ts'
import { isSame } from './same.ts'
import { type Check, fail, mistakesMax, type Run, spend } from './run.ts'
import type { SchemaFields } from './schema-form.ts'
import type { TextTest } from './text-tests.ts'

export const notConst = 'must be the allowed value'
export const notInEnum = 'must be one of the allowed values'

export function valueChecks(schema: SchemaFields): Check[] {
  return [...kindChecks(schema), ...textChecks(schema), ...numberChecks(schema)]
}

const isOfKind: Readonly<Record<string, (value: unknown) => boolean>> = {
  null: value => value === null,
  boolean: value => typeof value === 'boolean',
  object: value => typeof value === 'object' && value !== null && !Array.isArray(value),
  array: value => Array.isArray(value),
  number: value => Number.isFinite(value),
  integer: value => Number.isInteger(value),
  string: value => typeof value === 'string',
}

function kindChecks({ type, const: fixed, enum: allowed }: SchemaFields): Check[] {
  const checks: Check[] = []
  if (type !== undefined) {
    const kinds = type.flatMap(name => isOfKind[name] ?? [])
    const message = `must be of type ${listed(type)}`
    const [only] = kinds
    checks.push(
      only !== undefined && kinds.length === 1
        ? (value, run) => only(value) || fail(run, message)
        : (value, run) => kinds.some(isKind => isKind(value)) || fail(run, message),
    )
  }
  if (fixed !== undefined) {
    checks.push((value, run) => isSame(value, fixed.value, run) || fail(run, notConst))
  }
  if (allowed !== undefined) {
    const plain = new Set(allowed.filter(value => typeof value !== 'object' || value === null))
    const others = allowed.filter(value => typeof value === 'object' && value !== null)
    checks.push(
      (value, run) => plain.has(value) || others.some(other => isSame(value, other, run)) || fail(run, notInEnum),
    )
  }
  return checks
}

function textChecks({ minLength, maxLength, texts = [] }: SchemaFields): Check[] {
  const checks: Check[] = []
  if (minLength !== undefined) {
    const message = `must have at least ${minLength} characters`
    checks.push((value, run) => typeof value !== 'string' || isLongEnough(value, minLength, run) || fail(run, message))
  }
  if (maxLength !== undefined) {
    const message = `must have at most ${maxLength} characters`
    checks.push(
      (value, run) => typeof value !== 'string' || !isLongEnough(value, maxLength + 1, run) || fail(run, message),
    )
  }
  for (const test of texts) {
    checks.push((value, run) => typeof value !== 'string' || isRightText(value, test, run) || fail(run, test.message))
  }
  return checks
}

/** Characters are code points (2020-12 validation, section 6.3). */
function isLongEnough(text: string, min: number, run: Run): boolean {
  if (text.length < min) return false
  // One code point has two units at most.
  if (text.length >= min * 2) return true
  spend(run, text.length / charactersPerStep)
  let count = 0
  for (let at = 0; at < text.length && count < min; count++) at += (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1
  return count >= min
}

const charactersPerStep = 32
const patternStepsPerStep = 8

export function isRightText(text: string, test: TextTest, run: Run): boolean {
  if (text.length > test.charactersMax) return false
  spend(run, test.steps(text.length) / patternStepsPerStep)
  return test.isRight(text)
}

function numberChecks(schema: SchemaFields): Check[] {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf, range } = schema
  const checks: Check[] = []
  const add = (limit: number | undefined, isRight: (value: number, limit: number) => boolean, what: string) => {
    if (limit === undefined) return
    const message = `must be ${what} ${limit}`
    checks.push((value, run) => typeof value !== 'number' || isRight(value, limit) || fail(run, message))
  }
  add(minimum, (value, limit) => value >= limit, 'at least')
  add(maximum, (value, limit) => value <= limit, 'at most')
  add(exclusiveMinimum, (value, limit) => value > limit, 'more than')
  add(exclusiveMaximum, (value, limit) => value < limit, 'less than')
  if (multipleOf !== undefined) {
    const message = `must be a multiple of ${multipleOf}`
    checks.push((value, run) => typeof value !== 'number' || isMultiple(value, multipleOf) || fail(run, message))
  }
  if (range !== undefined) {
    const message = `must be an ${range.name}`
    checks.push(
      (value, run) => typeof value !== 'number' || (value >= range.low && value <= range.high) || fail(run, message),
    )
  }
  return checks
}

export function listed(names: readonly string[]): string {
  return names.slice(0, mistakesMax).join(', ')
}
