// What the admin server sees of a running gateway.

import type { AdminView } from '../control/admin-view.ts'
import { chooseMetricsFormat, metricsContentType, renderMetrics } from '../telemetry/exposition.ts'
import type { Fleet } from './fleet.ts'
import type { Gateway } from './gateway.ts'
import type { MainMetrics } from './main-metrics.ts'
import type { TargetHealth } from './target-health.ts'

export function createAdminView(gateway: Gateway, fleet: Fleet, metrics: MainMetrics, health: TargetHealth): AdminView {
  return {
    metrics(accept) {
      const format = chooseMetricsFormat(accept)
      metrics.refresh(fleet.status)
      health.report()
      const pages = [metrics.page, ...fleet.pages.filter(page => page !== undefined)]
      return { contentType: metricsContentType[format], text: renderMetrics(pages, format) }
    },
    readiness: () => fleet.readiness,
    config: () => gateway.configStatus,
    workers: () => fleet.status,
    upstreams: () => health.status,
    routes: () => gateway.blueprint.routes.map(({ name }) => name),
    purge: purge => fleet.purge(purge),
    certificates: () => gateway.certificates,
    reload: () => gateway.reload(),
    replaceWorker: id => fleet.replace(id, 'asked'),
  }
}
