// A few numbers that are one and the same in every worker thread, changed by one thread at a time.

/** Numbers that a row has. */
export const sharedRowSize = 28

export interface SharedRow {
  /** The numbers of the row begin where `open` says. They may be read at any time, as they are at that moment. */
  readonly numbers: Float64Array
  /**
   * Takes the row, all zeros at first, and says where it begins; -1 where it cannot be had. Until `close`, which must follow
   * soon, no other thread changes it: nothing in between may throw or wait.
   */
  open(): number
  close(): void
  /** Monotonic milliseconds by a clock that is the same in every thread. */
  now(): number
}

/** The row of this name: the same in every worker, and over reloads as long as each config asks for it. */
export type SharedRows = (name: string) => SharedRow
