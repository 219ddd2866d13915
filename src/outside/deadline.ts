// One exchange with another server: it has a deadline, and it ends once.

import { OutsideError } from '../core/outside.ts'
import type { Clock, Deadlines, Timed } from '../core/ports.ts'

/** Settles a promise once, by whichever comes first of a result, an error and the deadline. */
export class Exchange<T> implements Timed {
  dueMs: number
  slot = -1
  readonly promise: Promise<T>
  /** Called once when it is over, with the error where it failed; frees what it holds. */
  onEnd: (error: OutsideError | null) => void = () => {}
  readonly #deadlines: Deadlines
  readonly #settle: PromiseWithResolvers<T>
  #isOver = false

  constructor(timeoutMs: number, clock: Clock, deadlines: Deadlines) {
    if (!(timeoutMs > 0 && timeoutMs < Infinity)) throw new OutsideError('timeout', 'a request needs a deadline')
    this.dueMs = clock.now() + timeoutMs
    this.#deadlines = deadlines
    this.#settle = Promise.withResolvers<T>()
    this.promise = this.#settle.promise
    deadlines.add(this)
  }

  get isOver(): boolean {
    return this.#isOver
  }

  due(): void {
    this.fail(new OutsideError('timeout', 'no whole reply came in time'))
  }

  finish(value: T): void {
    if (this.#end(null)) this.#settle.resolve(value)
  }

  fail(error: OutsideError): void {
    if (this.#end(error)) this.#settle.reject(error)
  }

  #end(error: OutsideError | null): boolean {
    if (this.#isOver) return false
    this.#isOver = true
    this.#deadlines.remove(this)
    this.onEnd(error)
    return true
  }
}

/** What a socket or a parser says, as an OutsideError. */
export function outsideErrorOf(thrown: unknown): OutsideError {
  if (thrown instanceof OutsideError) return thrown
  const error = thrown instanceof Error ? thrown : new Error(String(thrown))
  // A failed attempt at several addresses hides what went wrong with each.
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error
  if (first instanceof OutsideError) return first
  // A stream that waited for its connection hides why there is none.
  if (first instanceof Error && first.cause instanceof OutsideError) return first.cause
  const text = first instanceof Error ? first.message : String(first)
  const code = first instanceof Error && 'code' in first && typeof first.code === 'string' ? first.code : ''
  return new OutsideError(code.startsWith('HPE_') ? 'malformed' : 'unreachable', text, { cause: thrown })
}
