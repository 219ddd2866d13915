// Settings of the JavaScript engine that fit a gateway; for the whole process, to be made before threads start.

import v8 from 'node:v8'

/**
 * Pretenuring off. Where many objects of one place in the code survive a collection, V8 allocates the next ones in the old
 * generation. In a gateway those that survive are merely the calls under way, all others die at once, and each header list in
 * the old generation keeps its strings until a full collection: about 1.5 µs a call (bench/NOTES.md).
 */
export function tuneEngine(): void {
  v8.setFlagsFromString('--no-allocation-site-pretenuring')
  v8.setFlagsFromString('--no-maglev-pretenure-store-values')
  // A call runs through many small functions of many files: with the default of 920, V8 stops half-way through putting them into
  // their callers. 3 to 4 % of a call with four policies; a plain call is as before.
  v8.setFlagsFromString('--max-inlined-bytecode-size-cumulative=3000')
  // For the guard against overload: a worker collects before calls are refused (own-resources.ts), and when it is idle.
  v8.setFlagsFromString('--expose-gc')
}
