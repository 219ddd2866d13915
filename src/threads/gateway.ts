// A whole gateway in the main thread: config in, worker threads out, admin port beside them.

import { createHash } from 'node:crypto'
import os from 'node:os'
import { resolve as resolvePath } from 'node:path'
import { performance } from 'node:perf_hooks'
import { readConfig } from '../config/config.ts'
import { formatProblems, type Problem } from '../config/problem.ts'
import type { ExtraProblem, Resolved } from '../config/resolve.ts'
import { ConfigWatch } from '../config/watch.ts'
import { type AdminServer, startAdmin } from '../control/admin.ts'
import type { ConfigStatus, ReloadOutcome } from '../control/admin-view.ts'
import type { Blueprint } from '../core/blueprint.ts'
import type { CertificateStatus } from '../core/certificate-status.ts'
import type { ListenerBlueprint } from '../core/listener-schema.ts'
import type { Log } from '../core/ports.ts'
import { listenerKey } from '../edge/listener-settings.ts'
import { checkBlueprint, checkNames, namesOf, probePort } from './check.ts'
import { CertificateEnds } from './certificate-ends.ts'
import { GatewayCertificates } from './certificates.ts'
import { GatewayConsumers } from './consumers.ts'
import { Fleet } from './fleet.ts'
import { extensionUrls, type Language, loadLanguage } from './language.ts'
import type { Edition } from './messages.ts'
import { createManagement } from './management.ts'
import { MainMetrics } from './main-metrics.ts'
import { TargetHealth } from './target-health.ts'
import { tuneEngine } from './v8.ts'
import { createAdminView } from './admin-view.ts'

export interface GatewayOptions {
  /** Path of the config: a file, or a folder of files. */
  readonly config: string
  /** Paths of modules that add policies and ends: each exports `policies`, `ends` or both. */
  readonly extensions?: readonly string[]
  /** For `${env:NAME}` in the config; the environment of the process by default. */
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly log: Log
  /** Whether a change of the config's files reloads; true by default. */
  readonly watch?: boolean
}

/** The config has mistakes; `message` shows them all, each with its place. */
export class ConfigRefused extends Error {
  readonly problems: readonly Problem[]

  constructor(problems: readonly Problem[]) {
    super(formatProblems(problems))
    this.name = 'ConfigRefused'
    this.problems = problems
  }
}

/** Where a listener listens. */
export interface Address {
  readonly name: string
  readonly host: string | null
  readonly port: number
  readonly isTls: boolean
}

/** Longer than workers with much to do take to close a port. */
const leavingMsMax = 10_000

/** A running gateway. Owns its threads and ports until `close`. */
export class Gateway {
  readonly #options: GatewayOptions
  readonly #language: Language
  readonly #fleet: Fleet
  readonly #metrics: MainMetrics
  readonly #consumers = new GatewayConsumers()
  readonly #certificates: GatewayCertificates
  readonly #ends: CertificateEnds
  readonly #health: TargetHealth
  #watch: ConfigWatch | null = null
  #admin: AdminServer | null = null
  #resolved: Resolved | null = null
  /** The config in force as the workers have it, but for certificates that come by themselves. */
  #edition: Edition | null = null
  #blueprint: Blueprint | null = null
  #version = 0
  #loadedMs = 0
  #lastReload: ConfigStatus['lastReload'] = null
  #reloading: Promise<ReloadOutcome> | null = null
  #isAgain = false
  #closing: Promise<number> | null = null
  /** Ports that the system chose for `port: 0`, by the name of the listener. */
  readonly #chosenPorts = new Map<string, number>()
  /** When ports were given up. */
  readonly #leftMs = new Map<string, number>()

  private constructor(options: GatewayOptions, language: Language, extensions: readonly string[]) {
    this.#options = options
    this.#language = language
    this.#metrics = new MainMetrics()
    this.#health = new TargetHealth(options.log, this.#metrics.meter)
    this.#ends = new CertificateEnds(options.log, this.#metrics.meter)
    this.#fleet = new Fleet({
      log: options.log,
      extensions,
      cores: os.availableParallelism(),
      onUsed: times => {
        this.#consumers.used(times).catch((error: unknown) => {
          options.log.warn({ err: error }, 'when credentials were used could not be written down')
        })
      },
      onReplaced: reason => this.#metrics.replaced(reason),
    })
    this.#certificates = new GatewayCertificates({
      ...{ log: options.log, meter: this.#metrics.meter },
      answerChallenges: answers => this.#fleet.answerChallenges(answers),
      changed: () => this.#renew(),
    })
  }

  /** Starts a gateway; resolves when it serves. Rejects with `ConfigRefused`, `PortRefused` or another Error. */
  static async start(options: GatewayOptions): Promise<Gateway> {
    tuneEngine()
    const extensions = extensionUrls(options.extensions ?? [])
    const gateway = new Gateway(options, await loadLanguage(extensions), extensions)
    try {
      await gateway.#load()
      await gateway.#startAdmin()
      if (options.watch !== false) await gateway.#startWatch()
    } catch (error) {
      await gateway.close(0)
      throw error
    }
    return gateway
  }

  get blueprint(): Blueprint {
    if (this.#blueprint === null) throw new Error('the gateway has not started')
    return this.#blueprint
  }

  get version(): number {
    return this.#version
  }

  get addresses(): Address[] {
    return this.blueprint.listeners.map(({ name, host, port, tls }) => ({ name, host, port, isTls: tls !== null }))
  }

  /** Where the admin server listens, null without one. */
  get adminAddress(): { readonly host: string; readonly port: number } | null {
    return this.#admin
  }

  /** Names that get certificates by themselves, and how that goes. */
  get certificates(): readonly CertificateStatus[] {
    return this.#certificates.status
  }

  get fleet(): Fleet {
    return this.#fleet
  }

  /** What is in force, since when, and how the last reload went. */
  get configStatus(): ConfigStatus {
    return {
      version: this.#version,
      hash: createHash('sha256')
        .update(JSON.stringify([this.#blueprint, this.#resolved?.files]))
        .digest('hex')
        .slice(0, 16),
      loadedAt: new Date(this.#loadedMs).toISOString(),
      source: resolvePath(this.#options.config),
      lastReload: this.#lastReload,
    }
  }

  /** Reads the config again and puts it in force, or changes nothing and says why. Reloads asked for meanwhile become one. */
  reload(): Promise<ReloadOutcome> {
    if (this.#reloading !== null) {
      this.#isAgain = true
      return this.#reloading
    }
    this.#reloading = this.#reloadUntilQuiet().finally(() => {
      this.#reloading = null
    })
    return this.#reloading
  }

  reopenLogs(): void {
    this.#fleet.reopenLogs()
  }

  /** Stops accepting, finishes calls for `drainMs` (the config's by default), ends. Resolves with the connections cut. */
  close(drainMs: number = this.#blueprint?.drainMs ?? 0): Promise<number> {
    this.#closing ??= this.#close(drainMs)
    return this.#closing
  }

  async #close(drainMs: number): Promise<number> {
    this.#watch?.close()
    await this.#reloading
    const cut = await this.#fleet.drain(drainMs)
    this.#health.close()
    this.#certificates.close()
    await this.#admin?.close()
    this.#consumers.close()
    return cut
  }

  async #reloadUntilQuiet(): Promise<ReloadOutcome> {
    do {
      this.#isAgain = false
      this.#lastReload = { ...(await this.#reloadOnce()), at: new Date().toISOString() }
    } while (this.#isAgain)
    return this.#lastReload
  }

  async #reloadOnce(): Promise<ReloadOutcome> {
    const { log } = this.#options
    const started = performance.now()
    if (this.#closing !== null) return refused(this.#version, 'the gateway is stopping')
    try {
      const isChanged = await this.#load()
      const result = isChanged ? 'taken' : 'unchanged'
      this.#metrics.reloaded(result, this.#version)
      if (isChanged)
        log.info({ version: this.#version, ms: Math.round(performance.now() - started) }, 'config reloaded')
      return { result, version: this.#version, problems: [] }
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      this.#metrics.reloaded('refused', this.#version)
      // The same mistake is said once, not at every look at the file.
      if (this.#lastReload?.problems[0] !== reason) {
        log.error({ version: this.#version }, `the config was not reloaded; the one in force goes on\n${reason}`)
      }
      return refused(this.#version, reason)
    }
  }

  /** Reads, checks and applies the config. False when it is the one in force. */
  async #load(): Promise<boolean> {
    const { config, env = process.env } = this.#options
    const resolution = await readConfig(config, { language: this.#language, extraChecks: checkBlueprint, env })
    this.#watch?.watchFiles(resolution.filesRead)
    if (!resolution.ok) throw new ConfigRefused(resolution.problems)
    if (this.#isInForce(resolution)) return false
    const known = this.#blueprint === null ? new Set<string>() : namesOf(this.#blueprint)
    const unresolved = await checkNames(resolution.blueprint, known)
    if (unresolved.length > 0) throw new ConfigRefused(unresolved.map(problem => placed(problem, resolution)))
    const blueprint = this.#withData(await this.#choosePorts(resolution.blueprint))
    this.#consumers.open(blueprint.data)
    const collisions = await this.#consumers.collisions(blueprint)
    if (collisions.length > 0) throw new ConfigRefused(collisions.map(problem => placed(problem, resolution)))
    const entries = await this.#consumers.entries(blueprint, resolution.files)
    const watched = this.#health.memoriesFor(blueprint)
    await this.#apply({ version: this.#version + 1, blueprint, files: resolution.files, entries, watched })
    this.#health.adopt(blueprint, resolution.files, watched)
    this.#ends.adopt(blueprint, resolution.files)
    this.#consumers.store.adopt(entries)
    this.#warnOfLateChanges(resolution.blueprint)
    this.#resolved = resolution
    this.#noteLeft(blueprint.listeners)
    this.#blueprint = blueprint
    this.#loadedMs = Date.now()
    this.#metrics.applied(this.#version)
    return true
  }

  async #apply(edition: Edition): Promise<void> {
    await this.#fleet.apply(this.#certificates.into(edition))
    this.#certificates.adopt(edition)
    this.#edition = edition
    this.#version = edition.version
  }

  /** Serves by the certificates of now. Reloads wait, and whoever asks for one meanwhile gets it behind this. */
  async #renew(): Promise<void> {
    while (this.#reloading !== null) await this.#reloading
    if (this.#edition === null || this.#closing !== null) return
    const applied = this.#apply({ ...this.#edition, version: this.#version + 1 })
    this.#reloading = applied
      .catch(() => {})
      .then(() => (this.#isAgain ? this.#reloadUntilQuiet() : unchanged(this.#version)))
      .finally(() => {
        this.#reloading = null
      })
    await applied
    this.#metrics.renewed(this.#version)
  }

  #isInForce(resolution: Resolved): boolean {
    const now = this.#resolved
    return (
      now !== null &&
      JSON.stringify(now.blueprint) === JSON.stringify(resolution.blueprint) &&
      JSON.stringify(now.files) === JSON.stringify(resolution.files)
    )
  }

  /** Finds out whether new ports can be had, before any worker is asked, and settles ports that the system may choose. */
  async #choosePorts(blueprint: Blueprint): Promise<Blueprint> {
    const open = new Set((this.#blueprint?.listeners ?? []).map(portKey))
    const listeners: ListenerBlueprint[] = []
    for (const listener of blueprint.listeners) {
      const chosen = listener.port === 0 ? this.#chosenPorts.get(listener.name) : undefined
      const wanted = { ...listener, port: chosen ?? listener.port }
      const port = open.has(portKey(wanted)) ? wanted.port : await this.#probe(wanted)
      if (listener.port === 0) this.#chosenPorts.set(listener.name, port)
      listeners.push({ ...listener, port })
    }
    return { ...blueprint, listeners }
  }

  /** Workers answer what waits at a port before they close it: one that was just given up may be open still. */
  async #probe(listener: ListenerBlueprint): Promise<number> {
    const leftMs = this.#leftMs.get(portKey(listener)) ?? -Infinity
    for (;;) {
      try {
        return await probePort(listener)
      } catch (error) {
        if (this.#closing !== null || performance.now() - leftMs > leavingMsMax) throw error
      }
      await new Promise(resolve => setTimeout(resolve, 20))
    }
  }

  #noteLeft(listeners: readonly ListenerBlueprint[]): void {
    const nowMs = performance.now()
    for (const [key, leftMs] of this.#leftMs) if (nowMs - leftMs > leavingMsMax) this.#leftMs.delete(key)
    const kept = new Set(listeners.map(portKey))
    for (const key of (this.#blueprint?.listeners ?? []).map(portKey)) if (!kept.has(key)) this.#leftMs.set(key, nowMs)
  }

  /** The folder for data stays the one of the start: workers and the store have files open there. */
  #withData(blueprint: Blueprint): Blueprint {
    return this.#blueprint === null ? blueprint : { ...blueprint, data: this.#blueprint.data }
  }

  #warnOfLateChanges(blueprint: Blueprint): void {
    if (this.#blueprint === null) return
    for (const key of ['admin', 'data'] as const) {
      if (JSON.stringify(this.#blueprint[key]) === JSON.stringify(blueprint[key])) continue
      this.#options.log.warn({}, `a change of \`${key}\` takes effect with the next start`)
    }
  }

  async #startAdmin(): Promise<void> {
    const { admin } = this.blueprint
    if (admin === null) return
    const view = createAdminView(this, this.#fleet, this.#metrics, this.#health)
    const management = createManagement(this.#consumers.store)
    this.#admin = await startAdmin({ ...admin, view, management, log: this.#options.log })
  }

  async #startWatch(): Promise<void> {
    this.#watch = new ConfigWatch({
      path: this.#options.config,
      files: this.#resolved?.filesRead ?? [],
      changed: () => void this.reload(),
    })
    await this.#watch.ready()
  }
}

function refused(version: number, reason: string): ReloadOutcome {
  return { result: 'refused', version, problems: [reason] }
}

function unchanged(version: number): ReloadOutcome {
  return { result: 'unchanged', version, problems: [] }
}

function portKey(listener: ListenerBlueprint): string {
  // TLS and plain, with and without PROXY headers, on the same port are several sockets to the workers, but one port to the system.
  return listenerKey({ ...listener, tls: null, proxyProtocol: null, limits: { ...listener.limits, accepts: null } })
}

function placed({ path, message, hint }: ExtraProblem, resolved: Resolved): Problem {
  return { message, hint, position: resolved.where(path), frame: '' }
}
