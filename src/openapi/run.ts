// One look at a value: what it has cost so far, where it is, and the mistakes it found.

import { within } from './part.ts'

/** A mistake in a value: where, and what the schema asks for. Never holds anything of the value but names of members. */
export interface Mistake {
  /** JSON pointer into the value. */
  readonly pointer: string
  readonly message: string
}

export const mistakesMax = 10
const pointerCharactersMax = 200

export interface Run {
  /** Left, before the value counts as too complex; a few ten nanoseconds each. */
  steps: number
  /** From the whole value to the one that is looked at; kept only where mistakes are. */
  readonly path: (string | number)[]
  /** Null where the first mistake is the end. */
  mistakes: Mistake[] | null
  /** Alternatives around the value whose mistakes are being looked for. */
  choices: number
}

/** Looks at a value, and says whether it is right. `seen` is null where nobody asks what was looked at. */
export type Check = (value: unknown, run: Run, seen: Seen | null) => boolean

/** Members and items of one value that some schema has looked at, for `unevaluatedProperties` and `unevaluatedItems`. */
export interface Seen {
  readonly names: Set<string>
  /** How many from the first. */
  items: number
  /** Of single items, by `contains`. */
  readonly indices: Set<number>
}

/** Thrown where a run has no steps left. */
export class TooComplex extends Error {}

export function spend(run: Run, steps: number): void {
  run.steps -= steps
  if (run.steps < 0) throw new TooComplex()
}

/** Notes a mistake at the value that is looked at. */
export function fail(run: Run, message: string): false {
  if (run.mistakes !== null && run.mistakes.length < mistakesMax) {
    spend(run, run.path.length)
    run.mistakes.push({ pointer: within('', ...run.path).slice(0, pointerCharactersMax), message })
  }
  return false
}

/** Whether it is worth while to look on after a mistake. */
export function goesOn({ mistakes }: Run): boolean {
  return mistakes !== null && mistakes.length < mistakesMax
}

/** Looks at a member or an item. */
export function inside(check: Check, value: unknown, at: string | number, run: Run): boolean {
  if (run.mistakes === null) return check(value, run, null)
  run.path.push(at)
  const isRight = check(value, run, null)
  run.path.pop()
  return isRight
}

/** Looks without noting mistakes. */
export function quietly(check: Check, value: unknown, run: Run, seen: Seen | null): boolean {
  const { mistakes } = run
  run.mistakes = null
  const isRight = check(value, run, seen)
  run.mistakes = mistakes
  return isRight
}

export function unseen(): Seen {
  return { names: new Set(), items: 0, indices: new Set() }
}

export function addSeen(to: Seen | null, from: Seen): void {
  if (to === null) return
  for (const name of from.names) to.names.add(name)
  for (const index of from.indices) to.indices.add(index)
  to.items = Math.max(to.items, from.items)
}
