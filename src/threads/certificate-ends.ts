// When the certificates that stand in files end: a metric for each, and a line in the log for one that nobody takes.

import { X509Certificate } from 'node:crypto'
import type { Blueprint } from '../core/blueprint.ts'
import type { Gauge, Log, Meter } from '../core/ports.ts'

/** Watches those of the config in force. */
export class CertificateEnds {
  readonly #log: Log
  readonly #meter: Meter
  readonly #gauges = new Map<string, Gauge>()

  constructor(log: Log, meter: Meter) {
    this.#log = log
    this.#meter = meter
  }

  adopt(blueprint: Blueprint, files: Readonly<Record<string, string>>): void {
    const wanted = new Set(filesOf(blueprint))
    // A file that is gone must set off no alarm: no comparison holds for NaN.
    for (const [file, gauge] of this.#gauges) if (!wanted.has(file)) gauge.set(Number.NaN)
    for (const file of wanted) {
      const certificate = certificateIn(files[file] ?? '')
      if (certificate === null) continue
      const gauge = this.#meter.gauge('turnpike_certificate_expiry_timestamp_seconds', { file })
      gauge.set(certificate.validToDate.getTime() / 1000)
      this.#gauges.set(file, gauge)
      this.#warnOf(file, certificate)
    }
  }

  #warnOf(file: string, { validFromDate, validToDate }: X509Certificate): void {
    const nowMs = Date.now()
    if (nowMs >= validFromDate.getTime() && nowMs <= validToDate.getTime()) return
    const [notBefore, notAfter] = [validFromDate.toISOString(), validToDate.toISOString()]
    const what = nowMs > validToDate.getTime() ? `ended at ${notAfter}` : `begins at ${notBefore}`
    this.#log.warn({ file, notBefore, notAfter }, `the certificate ${file} ${what}, so others refuse it`)
  }
}

/** The first of the file; null where it cannot be read, which whoever serves it has said. */
function certificateIn(pem: string): X509Certificate | null {
  try {
    return new X509Certificate(pem)
  } catch {
    return null
  }
}

/** Of listeners, and of the gateway itself toward upstreams. */
function filesOf({ listeners, upstreams }: Blueprint): string[] {
  const shown = listeners.flatMap(({ tls }) => tls?.certificates.map(({ cert }) => cert) ?? [])
  const own = Object.values(upstreams).flatMap(({ tls }) => (tls.cert === null ? [] : [tls.cert]))
  return [...shown, ...own]
}
