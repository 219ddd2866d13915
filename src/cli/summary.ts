// What a start prints: a few lines for people on a terminal, one structured line otherwise.

import type { Log } from '../core/ports.ts'
import type { Gateway } from '../threads/gateway.ts'
import { version } from '../threads/version.ts'

export function printSummary(gateway: Gateway, config: string, log: Log, isPretty: boolean): void {
  const { blueprint, adminAddress } = gateway
  const addresses = gateway.addresses.map(({ name, host, port, isTls }) => {
    const url = `${isTls ? 'https' : 'http'}://${host === null ? 'localhost' : urlHost(host)}:${port}`
    return name === String(port) ? url : `${url} (${name})`
  })
  const admin = adminAddress === null ? null : `http://${urlHost(adminAddress.host)}:${adminAddress.port}`
  const counts = {
    routes: blueprint.routes.length,
    upstreams: Object.keys(blueprint.upstreams).length,
    workers: gateway.fleet.readiness.workersServing,
  }
  if (!isPretty) {
    log.info(
      { version: version(), config, listeners: addresses, admin, ...counts, pid: process.pid },
      'turnpike is ready',
    )
    return
  }
  const lines = [
    `Turnpike ${version()} is ready`,
    `  listening  ${addresses.join(', ')}`,
    `  admin      ${admin ?? 'none (write `admin: { port: 9080 }` for metrics and health)'}`,
    `  config     ${config}: ${counts.routes} routes, ${counts.upstreams} upstreams; reloaded when it changes`,
    `  workers    ${counts.workers}`,
  ]
  process.stderr.write(`${lines.join('\n')}\n`)
}

function urlHost(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}
