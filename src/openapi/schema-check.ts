// A schema to the function that looks at values. What can be worked out once is worked out here, not per value.

import { arrayChecks, unevaluatedItems } from './array-checks.ts'
import { inPlaceChecks } from './in-place-checks.ts'
import { objectChecks, unevaluatedProperties } from './object-checks.ts'
import { addSeen, type Check, fail, goesOn, type Run, type Seen, spend, unseen } from './run.ts'
import type { Schema } from './schema-form.ts'
import { valueChecks } from './value-checks.ts'

/** `refer` gives the check of a definition by its key; it is asked when the reference is first followed. */
export function schemaCheck(schema: Schema, refer: (key: string) => Check): Check {
  if (schema === true) return () => true
  if (schema === false) return (_value, run) => fail(run, 'is not allowed here')
  const compile = (inner: Schema): Check => schemaCheck(inner, refer)
  const checks = [
    ...valueChecks(schema),
    ...objectChecks(schema, compile),
    ...arrayChecks(schema, compile),
    ...(schema.refs ?? []).map(key => reference(key, refer)),
    ...inPlaceChecks(schema, compile),
  ]
  const last = [unevaluatedProperties(schema, compile), unevaluatedItems(schema, compile)].filter(
    check => check !== null,
  )
  return last.length === 0 ? together(checks) : withUnevaluated(checks, last)
}

function reference(key: string, refer: (key: string) => Check): Check {
  let check: Check | null = null
  return (value, run, seen) => (check ??= refer(key))(value, run, seen)
}

function together(checks: readonly Check[]): Check {
  return (value, run, seen) => {
    spend(run, 1)
    return areRight(checks, value, run, seen)
  }
}

function areRight(checks: readonly Check[], value: unknown, run: Run, seen: Seen | null): boolean {
  let isRight = true
  for (const check of checks) {
    if (check(value, run, seen)) continue
    if (!goesOn(run)) return false
    isRight = false
  }
  return isRight
}

/** What is not looked at by anything else in this schema is looked at last (2020-12, section 11). */
function withUnevaluated(checks: readonly Check[], last: readonly Check[]): Check {
  return (value, run, seen) => {
    spend(run, 1)
    const own = unseen()
    const isRight = areRight(checks, value, run, own) && areRight(last, value, run, own)
    if (isRight) addSeen(seen, own)
    return isRight
  }
}
