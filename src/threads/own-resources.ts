// What the process and this thread have, and how much of it is used.

import { readdirSync, readFileSync } from 'node:fs'
import os from 'node:os'
import { performance } from 'node:perf_hooks'
import process from 'node:process'
import v8 from 'node:v8'

export interface OwnResources {
  /** Memory that the process may have: that of its control group or of the machine. */
  readonly memoryBytes: number
  /** Resident memory of the process. */
  residentBytes(): number
  /** What the heaps and buffers of all workers have in use, this one as it is now and the others as of their last beat. */
  trackedBytes(): number
  /** How much of its heap this thread uses, and how much it may have. */
  heap(): { readonly usedBytes: number; readonly limitBytes: number }
  /** Frees what nothing refers to any more; says how long that took, in milliseconds. */
  collect(): number
  /** How many file descriptors the process may have; null where the system does not say. */
  readonly descriptors: number | null
}

/** `tracked` is shared by all workers; each writes at its `place`. */
export function ownResources({ tracked, place }: { tracked: Float64Array; place: number }): OwnResources {
  let resident = 0
  return {
    memoryBytes: Math.min(process.constrainedMemory() || Infinity, os.totalmem()),
    residentBytes() {
      resident = residentBytes() ?? resident
      return resident
    },
    trackedBytes() {
      const { used_heap_size, external_memory, malloced_memory } = v8.getHeapStatistics()
      tracked[place] = used_heap_size + external_memory + malloced_memory
      return tracked.reduce((sum, bytes) => sum + bytes, 0)
    },
    heap() {
      const { used_heap_size, heap_size_limit } = v8.getHeapStatistics()
      return { usedBytes: used_heap_size, limitBytes: heap_size_limit }
    },
    collect() {
      const startedMs = performance.now()
      globalThis.gc?.()
      // V8 takes the buffers that were freed off its books a collection later.
      globalThis.gc?.()
      return performance.now() - startedMs
    },
    descriptors: descriptorLimit(),
  }
}

/** Null where it cannot be read for want of a descriptor. */
export function residentBytes(): number | null {
  try {
    return process.memoryUsage.rss()
  } catch {
    return null
  }
}

/** How many descriptors the process has open; null where that cannot be told, for want of one or on another system. */
export function openDescriptors(): number | null {
  try {
    return readdirSync('/proc/self/fd').length
  } catch {
    return null
  }
}

/** Node raises the soft limit to the hard one when it starts. */
export function descriptorLimit(): number | null {
  try {
    const found = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1]
    return found === undefined ? null : Number(found)
  } catch {
    return null
  }
}
