// What the inside may ask of the outside: time, chance, log, shared counters, metrics. Passed in, never imported.

export interface Clock {
  /** Monotonic milliseconds with a fraction; for durations and deadlines. */
  now(): number
  /** Milliseconds since the Unix epoch; for what people read. */
  wall(): number
}

/** Calls back, on a coarse beat, whatever has a deadline. One per thread. */
export interface Deadlines {
  /** Starts to watch. The entry's `dueMs` is read on each beat, so that moving a deadline is writing a number. */
  add(entry: Timed): void
  /** Stops watching; harmless when it is not watched. */
  remove(entry: Timed): void
}

export interface Timed {
  /** Monotonic time (`Clock.now`), Infinity for never. */
  dueMs: number
  /** Called on the first beat after `dueMs`, and on each further beat until `dueMs` is moved or the entry removed. */
  due(nowMs: number): void
  /** Place in the table of `Deadlines`, -1 while not watched. Only `Deadlines` writes it. */
  slot: number
}

/** The program's own log (not the access log). */
export interface Log {
  debug(fields: object, text: string): void
  info(fields: object, text: string): void
  warn(fields: object, text: string): void
  error(fields: object, text: string): void
}

/** A number that is one and the same in every worker thread. */
export interface SharedCounter {
  /** Takes one when fewer than `limit` are taken, in one atomic step. A taken one is given back when its worker dies. */
  tryTake(limit: number): boolean
  /** Gives one back. */
  give(): void
  /** How many are taken now, over all workers. */
  taken(): number
}

export interface SharedCounters {
  /** The counter of this key; the same key is the same counter in every worker and across reloads. */
  counter(key: string): SharedCounter
}

export interface Counter {
  add(amount: number): void
}

export interface Gauge {
  set(value: number): void
}

export interface Histogram {
  /** Seconds for durations, bytes for sizes, as the metric's name says. */
  record(value: number): void
}

export type Labels = Readonly<Record<string, string>>

/** Makes metric series. Call it when things are built and keep what it returns: recording is then a write to an array. */
export interface Meter {
  counter(name: string, labels: Labels): Counter
  gauge(name: string, labels: Labels): Gauge
  histogram(name: string, labels: Labels): Histogram
}

/** Everything a policy or an end of a route may use while it is built. */
export interface Ports {
  readonly clock: Clock
  readonly deadlines: Deadlines
  /** A number from 0 to 1, as Math.random. */
  readonly random: () => number
  readonly log: Log
  readonly shared: SharedCounters
  readonly meter: Meter
}
