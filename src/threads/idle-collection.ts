// Gives memory back after a burst: a thread that has little to do collects the garbage that V8 leaves until there is more of it.

import { performance } from 'node:perf_hooks'
import v8 from 'node:v8'
import vm from 'node:vm'

export interface IdlePorts {
  now(): number
  /** The part of the time since it was last asked that the thread was busy. */
  busyShare(): number
  /** What the old generation of the heap holds, garbage included: the young one is collected by the way. */
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
/** Less garbage than this, or than a quarter of what is in use, is left where it is. */
const spareBytes = 8e6
const sparePart = 1 / 4
/** A collection stops the thread for about 1 ms per MB in use: too long for heaps that are larger than this. */
const oldBytesMax = 512e6
const pauseMs = 10_000
/** What a connection that is gone leaves, about. */
const connectionBytes = 4_000

/** V8 collects when calls make garbage. When they stop, what a burst has left stays for as long as nothing else comes. */
export class IdleCollection {
  readonly #ports: IdlePorts
  /** What was in use when the garbage was last gone, and by how many connections. */
  #liveBytes = 0
  #liveConnections = 0
  #quiet = 0
  #mayCollectMs = -Infinity

  constructor(ports: IdlePorts) {
    this.#ports = ports
  }

  /** To be called every second. */
  look(): void {
    const ports = this.#ports
    this.#quiet = ports.busyShare() < quietShare ? this.#quiet + 1 : 0
    if (this.#quiet < quietLooks) return
    const bytes = ports.oldBytes()
    // V8 has collected meanwhile.
    if (bytes < this.#liveBytes) this.#mark(bytes)
    const left = Math.max(0, this.#liveConnections - ports.connections())
    const spare = bytes - this.#liveBytes + left * connectionBytes
    if (spare < Math.max(spareBytes, this.#liveBytes * sparePart)) return
    if (bytes > oldBytesMax || ports.now() < this.#mayCollectMs) return
    ports.collect()
    this.#mayCollectMs = ports.now() + pauseMs
    this.#mark(ports.oldBytes())
  }

  #mark(liveBytes: number): void {
    this.#liveBytes = liveBytes
    this.#liveConnections = this.#ports.connections()
  }
}

/** Looks after the heap of this thread for as long as it lives. */
export function startIdleCollection(connections: () => number): void {
  // The main thread is older than the flag that makes it a global.
  const collect = globalThis.gc ?? (vm.runInNewContext('gc') as NonNullable<typeof globalThis.gc>)
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
    collect() {
      collect()
    },
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
