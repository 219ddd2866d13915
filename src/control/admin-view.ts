// What the admin server shows and may ask for; implemented by whoever owns the workers.

import type { CertificateStatus } from '../core/certificate-status.ts'
import type { TargetStatus } from '../core/target-status.ts'

import type { Purge } from '../core/purges.ts'

export interface Readiness {
  readonly isReady: boolean
  readonly state: 'starting' | 'serving' | 'draining'
  /** Why it is not ready, for people; empty when it is. */
  readonly reason: string
  /** Workers that serve, and workers that should. */
  readonly workersServing: number
  readonly workersExpected: number
}

/** `unchanged`: the files say what is already in force. `refused`: the config in force stays. */
export interface ReloadOutcome {
  readonly result: 'taken' | 'unchanged' | 'refused'
  /** Of the config in force afterwards. */
  readonly version: number
  /** What is wrong with a refused config, as `turnpike check` prints it; empty otherwise. */
  readonly problems: readonly string[]
}

/** Never holds the config itself, whose values may be secrets. */
export interface ConfigStatus {
  readonly version: number
  /** Hash of the blueprint in force, equal where the config is. */
  readonly hash: string
  /** ISO 8601. */
  readonly loadedAt: string
  /** Path of the file or folder it came from. */
  readonly source: string
  readonly lastReload: (ReloadOutcome & { readonly at: string }) | null
}

export interface WorkerStatus {
  readonly id: number
  readonly state: 'starting' | 'serving' | 'draining'
  readonly configVersion: number
  /** ISO 8601. */
  readonly startedAt: string
}

/** An upstream whose targets are watched. */
export interface UpstreamStatus {
  readonly name: string
  readonly targets: readonly TargetStatus[]
}

export interface AdminView {
  /** The metrics in the format that the Accept field asks for. */
  metrics(accept: string | undefined): { readonly contentType: string; readonly text: string }
  readiness(): Readiness
  config(): ConfigStatus
  workers(): readonly WorkerStatus[]
  /** Those with health checks, ejection or slow start. */
  upstreams(): readonly UpstreamStatus[]
  /** Names of the routes in force. */
  routes(): readonly string[]
  /** Takes replies out of the caches of all workers; resolves with how many there were. */
  purge(purge: Purge): Promise<number>
  /** Those got by ACME. */
  certificates(): readonly CertificateStatus[]
  /** Loads the config again; resolves when it is in force on every worker, or was refused. */
  reload(): Promise<ReloadOutcome>
  /** Starts a new worker in place of this one, which drains; false where there is none of this id. Resolves once the new one serves. */
  replaceWorker(id: number): Promise<boolean>
}
