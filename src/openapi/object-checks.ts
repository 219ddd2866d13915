// Keywords that look at the members of objects.

import { type Fields, isFields } from './part.ts'
import { type Check, fail, goesOn, inside, type Run, type Seen, spend } from './run.ts'
import type { Schema, SchemaFields } from './schema-form.ts'
import type { TextTest } from './text-tests.ts'
import { isRightText, listed } from './value-checks.ts'

const unnamed = 'must not have members that the document does not name'

export function objectChecks(schema: SchemaFields, compile: (schema: Schema) => Check): Check[] {
  const { required, dependentRequired, dependentSchemas, propertyNames } = schema
  const checks: Check[] = []
  if (required !== undefined && required.length > 0) {
    checks.push((value, run) => !isFields(value) || hasAll(value, required, run))
  }
  checks.push(...countChecks(schema))
  if ([schema.properties, schema.patternProperties, schema.additionalProperties].some(part => part !== undefined)) {
    checks.push(members(schema, compile))
  }
  if (propertyNames !== undefined) {
    const check = compile(propertyNames)
    checks.push((value, run) => !isFields(value) || every(value, run, name => inside(check, name, name, run)))
  }
  for (const [name, names] of dependentRequired ?? []) {
    checks.push((value, run) => !isFields(value) || !Object.hasOwn(value, name) || hasAll(value, names, run))
  }
  for (const [name, inner] of dependentSchemas ?? []) {
    const check = compile(inner)
    checks.push((value, run, seen) => !isFields(value) || !Object.hasOwn(value, name) || check(value, run, seen))
  }
  return checks
}

function hasAll(value: Fields, names: readonly string[], run: Run): boolean {
  for (const name of names) {
    if (Object.hasOwn(value, name)) continue
    const missing = run.mistakes === null ? [] : names.filter(other => !Object.hasOwn(value, other))
    return fail(run, `must have ${listed(missing)}`)
  }
  return true
}

function countChecks({ minProperties, maxProperties }: SchemaFields): Check[] {
  const checks: Check[] = []
  if (minProperties !== undefined) {
    const message = `must have at least ${minProperties} members`
    checks.push((value, run) => !isFields(value) || Object.keys(value).length >= minProperties || fail(run, message))
  }
  if (maxProperties !== undefined) {
    const message = `must have at most ${maxProperties} members`
    checks.push((value, run) => !isFields(value) || Object.keys(value).length <= maxProperties || fail(run, message))
  }
  return checks
}

interface Members {
  readonly named: ReadonlyMap<string, Check>
  readonly patterns: readonly { readonly test: TextTest; readonly check: Check }[]
  /** Of all other members; null where these are not looked at. */
  readonly others: Check | null
}

/** `properties`, `patternProperties` and `additionalProperties`, by the names that the value has. */
function members(schema: SchemaFields, compile: (schema: Schema) => Check): Check {
  const { properties = [], patternProperties = [], additionalProperties } = schema
  const looked: Members = {
    named: new Map([...properties].map(([name, inner]) => [name, compile(inner)])),
    patterns: patternProperties.map(({ test, schema: inner }) => ({ test, check: compile(inner) })),
    others: othersCheck(additionalProperties, compile),
  }
  return (value, run, seen) => {
    if (!isFields(value)) return true
    let areRight = true
    // Hot: no list of the names is made. Nothing but its own members shows in a JSON value.
    for (const name in value) {
      spend(run, 1)
      if (memberIsRight(looked, value, name, run, seen)) continue
      if (!goesOn(run)) return false
      areRight = false
    }
    return areRight
  }
}

/** A member that must not be is a mistake of the object, not of the member. */
function othersCheck(schema: Schema | undefined, compile: (schema: Schema) => Check): Check | null {
  return schema === undefined ? null : schema === false ? nothing : compile(schema)
}

const nothing: Check = (_value, run) => fail(run, unnamed)

function memberIsRight({ named, patterns, others }: Members, value: Fields, name: string, run: Run, seen: Seen | null) {
  const check = named.get(name)
  let isKnown = check !== undefined
  let isRight = check === undefined || inside(check, value[name], name, run)
  for (const pattern of patterns) {
    const fits = fitsName(name, pattern.test, run)
    if (fits === null) return fail(run, 'must not have names that are too long to be checked')
    if (!fits) continue
    isKnown = true
    isRight = inside(pattern.check, value[name], name, run) && isRight
  }
  if (!isKnown && others === null) return true
  seen?.names.add(name)
  if (isKnown || others === null) return isRight
  return others === nothing ? nothing(value, run, null) : inside(others, value[name], name, run)
}

/** Null for a name that is too long to be tried. */
function fitsName(name: string, test: TextTest, run: Run): boolean | null {
  return name.length > test.charactersMax ? null : isRightText(name, test, run)
}

export function unevaluatedProperties(schema: SchemaFields, compile: (schema: Schema) => Check): Check | null {
  const check = othersCheck(schema.unevaluatedProperties, compile)
  if (check === null) return null
  return (value, run, seen) => {
    if (!isFields(value) || seen === null) return true
    return every(value, run, name => {
      if (seen.names.has(name)) return true
      seen.names.add(name)
      return check === nothing ? nothing(value, run, null) : inside(check, value[name], name, run)
    })
  }
}

/** Goes on after a mistake only where more of them are asked for. */
function every(value: Fields, run: Run, isRight: (name: string) => boolean): boolean {
  let areRight = true
  for (const name of Object.keys(value)) {
    spend(run, 1)
    if (isRight(name)) continue
    if (!goesOn(run)) return false
    areRight = false
  }
  return areRight
}
