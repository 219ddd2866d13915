// What the process says about itself; read by the main thread when it is scraped.

import type { Meter } from '../core/ports.ts'

/** Returns what brings the metrics up to date; to be called before each scrape. */
export function createProcessMetrics(meter: Meter, version: string): () => void {
  meter.gauge('turnpike_build_info', { version, node_version: process.version }).set(1)
  meter.gauge('process_start_time_seconds', {}).set(Date.now() / 1000 - process.uptime())
  const resident = meter.gauge('process_resident_memory_bytes', {})
  const cpu = meter.counter('process_cpu_seconds', {})
  let countedSeconds = 0
  return () => {
    resident.set(process.memoryUsage.rss())
    const { user, system } = process.cpuUsage()
    const seconds = (user + system) / 1e6
    cpu.add(seconds - countedSeconds)
    countedSeconds = seconds
  }
}
