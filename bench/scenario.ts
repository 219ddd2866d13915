// What a scenario asks, of whom, and what counts as reached.

import type { Load } from './load/wrk.ts'
import type { Peer, Setup } from './peer.ts'

export type Shape = Pick<
  Setup,
  'hasPolicies' | 'identity' | 'isCaching' | 'isResilient' | 'protocol' | 'routes' | 'workers'
> & {
  readonly hasTls: boolean
}

export const plainShape: Shape = {
  ...{ hasPolicies: false, identity: null, isCaching: false, isResilient: false, protocol: 'http1' },
  ...{ routes: 0, workers: 1, hasTls: false },
}

/** One row of a table: a peer in a shape. */
export interface Candidate {
  readonly label: string
  readonly peer: Peer
  readonly shape: Shape
  /** Cores it may use, as taskset writes them. */
  readonly cores: string
}

export interface Scenario {
  /** For `--scenario`. */
  readonly name: string
  readonly title: string
  /** What a reader has to know about it, one or two sentences. */
  readonly note: string
  readonly kind: 'calls' | 'idle' | 'script'
  /** Of a `script`: what measures and prints lines, below `bench/micro`; null for other kinds. */
  readonly script: string | null
  readonly load: Load
  /** Cores of the load and of the upstream. */
  readonly loadCores: string
  readonly upstream: 'nginx' | 'sink' | 'grpc'
  readonly candidates: readonly Candidate[]
  /** Label of the row that ratios are made to. */
  readonly baseline: string
  /** What Turnpike should reach: at most this ratio of CPU per call, so much more of it, or so many bytes per connection. */
  readonly goal:
    | { readonly ratioMax: number }
    | { readonly moreMicrosMax: number }
    | { readonly bytesMax: number }
    | null
}

export interface CallsRow {
  readonly label: string
  readonly microsPerCall: number
  readonly callsPerSecond: number
  readonly p50Micros: number
  readonly p99Micros: number
  readonly rssBytes: number
  readonly errors: number
}

export interface IdleRow {
  readonly label: string
  readonly bytesPerConnection: number
  readonly rssBytes: number
  readonly connections: number
}

export interface Result {
  readonly scenario: Scenario
  readonly calls: readonly CallsRow[]
  readonly idle: readonly IdleRow[]
  /** What a script printed. */
  readonly lines: readonly string[]
  /** Peers that were left out, and why. */
  readonly left: readonly string[]
}

const smallCall: Load = {
  path: '/small',
  headers: {},
  bodyBytes: 0,
  variants: 0,
  connections: 64,
  streams: 0,
  threads: 1,
}

/** A scenario about CPU per call; what is not said is as in plain proxying. */
export function callsScenario(given: Partial<Omit<Scenario, 'load'>> & { load?: Partial<Load> } & Asked): Scenario {
  return {
    note: '',
    kind: 'calls',
    script: null,
    loadCores: '1',
    upstream: 'nginx',
    baseline: 'nginx',
    goal: null,
    ...given,
    load: { ...smallCall, ...given.load },
  }
}

/** Figures that no proxy is compared by: one script of `bench/micro`, on core 0. */
export function scriptScenario(given: Pick<Scenario, 'name' | 'title' | 'note'> & { script: string }): Scenario {
  return { ...callsScenario({ ...given, candidates: [] }), kind: 'script' }
}

type Asked = Pick<Scenario, 'name' | 'title' | 'candidates'>

/** Each peer in the same shape, on core 0. */
export function sameShape(peers: readonly Peer[], shape: Partial<Shape>): Candidate[] {
  return peers.map(peer => ({ label: peer.name, peer, shape: { ...plainShape, ...shape }, cores: '0' }))
}
