// Gives memory back after a crowd: a worker that has little to do collects what connections have left that are gone.

import { performance } from 'node:perf_hooks'
import v8 from 'node:v8'

export interface IdlePorts {
  now(): number
  /** The part of the time since it was last asked that the thread was busy. */
  busyShare(): number
  /** What the old generation of the heap holds, garbage included. */
  oldBytes(): number
  /** Open connections of clients. */
  connections(): number
  /** Frees what nothing refers to any more. */
  collect(): void
}

const lookMs = 1_000
/** So many looks in a row must have found the thread less busy than this. */
const quietLooks = 3
const quietShare = 0.1
/** So many connections must be gone: each leaves about 4 kB. */
const crowd = 2_000
/** A collection stops the thread for about 1 ms per MB in use: too long for heaps that are larger than this. */
const oldBytesMax = 512e6
const pauseMs = 10_000

/**
 * V8 collects when calls make garbage. When they stop, what a crowd has left stays for as long as nothing else comes.
 *
 * Garbage of calls alone is left to V8: after a collection the code that runs is compiled anew in part, and calls of the next seconds
 * cost a third more (measured with bursts of 3 s, seconds apart).
 */
export class IdleCollection {
  readonly #ports: IdlePorts
  /** The most connections at once since the last collection. */
  #peak = 0
  #quiet = 0
  #mayCollectMs = -Infinity

  constructor(ports: IdlePorts) {
    this.#ports = ports
  }

  /** To be called every second. */
  look(): void {
    const ports = this.#ports
    const connections = ports.connections()
    this.#peak = Math.max(this.#peak, connections)
    this.#quiet = ports.busyShare() < quietShare ? this.#quiet + 1 : 0
    if (this.#quiet < quietLooks || this.#peak - connections < crowd) return
    if (ports.now() < this.#mayCollectMs || ports.oldBytes() > oldBytesMax) return
    ports.collect()
    this.#mayCollectMs = ports.now() + pauseMs
    this.#peak = connections
  }
}

/** Looks after the heap of this thread for as long as it lives. Needs `--expose-gc`, set before the thread started. */
export function startIdleCollection(connections: () => number): void {
  let last = performance.eventLoopUtilization()
  const idle = new IdleCollection({
    now: () => performance.now(),
    busyShare() {
      const now = performance.eventLoopUtilization()
      const { utilization } = performance.eventLoopUtilization(now, last)
      last = now
      return utilization
    },
    oldBytes,
    connections,
    collect: () => globalThis.gc?.(),
  })
  setInterval(() => idle.look(), lookMs).unref()
}

function oldBytes(): number {
  let bytes = 0
  for (const { space_name, space_used_size } of v8.getHeapSpaceStatistics()) {
    if (!space_name.startsWith('new_') && !space_name.startsWith('read_only')) bytes += space_used_size
  }
  return bytes
}
