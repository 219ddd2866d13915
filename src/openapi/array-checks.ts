// Keywords that look at the items of arrays.

import { type Check, fail, goesOn, inside, quietly, type Run, spend } from './run.ts'
import { keyOf } from './same.ts'
import type { Schema, SchemaFields } from './schema-form.ts'

export function arrayChecks(schema: SchemaFields, compile: (schema: Schema) => Check): Check[] {
  const { minItems, maxItems, uniqueItems, prefixItems = [], items, contains } = schema
  const checks: Check[] = []
  if (minItems !== undefined) {
    const message = `must have at least ${minItems} items`
    checks.push((value, run) => !Array.isArray(value) || value.length >= minItems || fail(run, message))
  }
  if (maxItems !== undefined) {
    const message = `must have at most ${maxItems} items`
    checks.push((value, run) => !Array.isArray(value) || value.length <= maxItems || fail(run, message))
  }
  if (prefixItems.length > 0 || items !== undefined) {
    const first = prefixItems.map(compile)
    checks.push(itemsCheck(first, items === undefined ? null : compile(items)))
  }
  if (contains !== undefined) checks.push(containsCheck(schema, compile(contains)))
  if (uniqueItems === true) {
    checks.push(
      (value, run) => !Array.isArray(value) || areUnique(value, run) || fail(run, 'must not have the same item twice'),
    )
  }
  return checks
}

function itemsCheck(first: readonly Check[], others: Check | null): Check {
  return (value, run, seen) => {
    if (!Array.isArray(value)) return true
    const end = others === null ? Math.min(first.length, value.length) : value.length
    if (seen !== null) seen.items = Math.max(seen.items, end)
    let areRight = true
    for (let index = 0; index < end; index++) {
      const check = first[index] ?? others
      if (check === null || inside(check, value[index], index, run)) continue
      if (!goesOn(run)) return false
      areRight = false
    }
    return areRight
  }
}

function containsCheck({ minContains = 1, maxContains = Infinity }: SchemaFields, check: Check): Check {
  return (value, run, seen) => {
    if (!Array.isArray(value)) return true
    let count = 0
    for (let index = 0; index < value.length; index++) {
      if (!quietly(check, value[index], run, null)) continue
      count++
      seen?.indices.add(index)
      if (count > maxContains) return fail(run, `must have at most ${maxContains} items of the asked form`)
      if (seen === null && count >= minContains && maxContains === Infinity) return true
    }
    return count >= minContains || fail(run, `must have at least ${minContains} items of the asked form`)
  }
}

function areUnique(items: readonly unknown[], run: Run): boolean {
  spend(run, items.length)
  const keys = new Set<unknown>()
  for (const item of items) {
    const key = keyOf(item, run)
    if (keys.has(key)) return false
    keys.add(key)
  }
  return true
}

export function unevaluatedItems(schema: SchemaFields, compile: (schema: Schema) => Check): Check | null {
  const inner = schema.unevaluatedItems
  if (inner === undefined) return null
  const check = compile(inner)
  return (value, run, seen) => {
    if (!Array.isArray(value) || seen === null) return true
    let areRight = true
    for (let index = seen.items; index < value.length; index++) {
      if (seen.indices.has(index) || inside(check, value[index], index, run)) continue
      if (!goesOn(run)) return false
      areRight = false
    }
    seen.items = value.length
    return areRight
  }
}
