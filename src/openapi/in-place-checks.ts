// Keywords whose schemas look at the same value.

import { addSeen, type Check, fail, type Mistake, mistakesMax, quietly, type Run, type Seen, unseen } from './run.ts'
import type { Schema, SchemaFields } from './schema-form.ts'
import { notConst, notInEnum } from './value-checks.ts'

export function inPlaceChecks(schema: SchemaFields, compile: (schema: Schema) => Check): Check[] {
  const { allOf = [], anyOf, oneOf, not, if: asked, then: fits, else: fitsNot } = schema
  const checks = allOf.map(compile)
  if (anyOf !== undefined) checks.push(anyOfCheck(anyOf.map(compile)))
  if (oneOf !== undefined) checks.push(oneOfCheck(oneOf.map(compile)))
  if (not !== undefined) {
    const check = compile(not)
    // What a schema that must not fit has looked at counts for nothing.
    checks.push(
      (value, run, seen) => !quietly(check, value, run, seen && unseen()) || fail(run, 'must not be of this form'),
    )
  }
  if (asked !== undefined) {
    const [check, yes, no] = [compile(asked), compile(fits ?? true), compile(fitsNot ?? true)]
    checks.push((value, run, seen) => (fitsIn(check, value, run, seen) ? yes : no)(value, run, seen))
  }
  return checks
}

/** Whether a schema that need not fit does; only then what it has looked at counts. */
function fitsIn(check: Check, value: unknown, run: Run, seen: Seen | null): boolean {
  const own = seen && unseen()
  const isRight = quietly(check, value, run, own)
  if (isRight && own !== null) addSeen(seen, own)
  return isRight
}

function anyOfCheck(branches: readonly Check[]): Check {
  return (value, run, seen) => {
    let isRight = false
    for (const branch of branches) {
      if (!fitsIn(branch, value, run, seen)) continue
      isRight = true
      // All of them are looked at only where it matters what they have looked at.
      if (seen === null) return true
    }
    return isRight || explained(branches, value, run, 'must fit one of the allowed forms')
  }
}

function oneOfCheck(branches: readonly Check[]): Check {
  return (value, run, seen) => {
    let count = 0
    for (const branch of branches) if (fitsIn(branch, value, run, seen) && ++count > 1) break
    if (count === 1) return true
    const message = 'must fit exactly one of the allowed forms'
    return count > 1 ? fail(run, message) : explained(branches, value, run, message)
  }
}

/** Alternatives inside alternatives are explained so deep only: each level takes the time of all before it again. */
const choicesMax = 3

/** The mistakes of the branch that was probably meant: the one with the fewest that speak of another kind of value. */
function explained(branches: readonly Check[], value: unknown, run: Run, message: string): false {
  const { mistakes } = run
  if (mistakes === null || run.choices === choicesMax) return fail(run, message)
  run.choices++
  let best: { readonly found: readonly Mistake[]; readonly own: number } | null = null
  const depth = run.path.length
  for (const branch of branches) {
    const found: Mistake[] = []
    run.mistakes = found
    branch(value, run, null)
    const own = found.filter(mistake => isOfKind(mistake, depth)).length
    if (best === null || own < best.own || (own === best.own && found.length < best.found.length)) best = { found, own }
  }
  run.choices--
  run.mistakes = mistakes
  fail(run, message)
  mistakes.push(...(best?.found ?? []).slice(0, Math.max(0, mistakesMax - mistakes.length)))
  return false
}

/** At the value itself, or at a member that tells alternatives apart by a fixed value. */
function isOfKind({ pointer, message }: Mistake, depth: number): boolean {
  const below = pointer.split('/').length - 1 - depth
  return below === 0 || (below === 1 && (message === notConst || message === notInEnum))
}
