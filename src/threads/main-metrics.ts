// Metrics of the main thread: config, workers, and the process as a whole.

import type { WorkerStatus } from '../control/admin-view.ts'
import type { Counter, Gauge, Meter } from '../core/ports.ts'
import { createMeter } from '../telemetry/meter.ts'
import { createPage, type MetricPage } from '../telemetry/page.ts'
import { descriptorLimit, openDescriptors, residentBytes } from './own-resources.ts'
import type { ReplacementReason } from './fleet.ts'
import { version } from './version.ts'

/** Owns the page of the main thread. */
export class MainMetrics {
  readonly page: MetricPage = createPage('main')
  readonly meter: Meter = createMeter({ page: this.page })
  readonly #version: Gauge = this.meter.gauge('turnpike_config_version', {})
  readonly #successful: Gauge = this.meter.gauge('turnpike_config_last_reload_successful', {})
  readonly #reloadedAt: Gauge = this.meter.gauge('turnpike_config_last_reload_timestamp_seconds', {})
  readonly #cpu: Counter = this.meter.counter('process_cpu_seconds', {})
  readonly #memory: Gauge = this.meter.gauge('process_resident_memory_bytes', {})
  readonly #openFiles: Gauge = this.meter.gauge('process_open_fds', {})
  #cpuSeconds = 0

  constructor() {
    this.meter.gauge('turnpike_build_info', { version: version(), node_version: process.versions.node }).set(1)
    for (const result of ['taken', 'unchanged', 'refused']) this.meter.counter('turnpike_config_reloads', { result })
    this.meter.gauge('process_max_fds', {}).set(descriptorLimit() ?? 0)
    this.meter.gauge('process_start_time_seconds', {}).set(Date.now() / 1000 - process.uptime())
  }

  /** A config came into force. */
  applied(configVersion: number): void {
    this.#version.set(configVersion)
    this.#successful.set(1)
    this.#reloadedAt.set(Date.now() / 1000)
  }

  /** The config in force is served with other certificates. How the last reload went stays as it is. */
  renewed(configVersion: number): void {
    this.#version.set(configVersion)
  }

  reloaded(result: 'taken' | 'unchanged' | 'refused', configVersion: number): void {
    this.meter.counter('turnpike_config_reloads', { result }).add(1)
    this.#version.set(configVersion)
    this.#successful.set(result === 'refused' ? 0 : 1)
  }

  replaced(reason: ReplacementReason): void {
    this.meter.counter('turnpike_worker_replacements', { reason }).add(1)
  }

  /** Both are read from files: where no descriptor is left, the last values stand. */
  #refreshProcess(): void {
    const open = openDescriptors()
    if (open !== null) this.#openFiles.set(open)
    const resident = residentBytes()
    if (resident !== null) this.#memory.set(resident)
  }

  /** Brings up to date what is only looked at when somebody asks. */
  refresh(workers: readonly WorkerStatus[]): void {
    for (const state of ['starting', 'serving', 'draining'] as const) {
      const count = workers.filter(worker => worker.state === state).length
      this.meter.gauge('turnpike_workers', { state }).set(count)
    }
    const { user, system } = process.cpuUsage()
    const seconds = (user + system) / 1e6
    this.#cpu.add(seconds - this.#cpuSeconds)
    this.#cpuSeconds = seconds
    this.#refreshProcess()
  }
}
