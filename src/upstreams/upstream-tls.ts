// How an upstream is spoken to over TLS.

import net from 'node:net'
import tls, { type ConnectionOptions } from 'node:tls'
import type { UpstreamBlueprint } from '../core/upstream-schema.ts'

/** Texts of the PEM files of an upstream's `tls`. */
export interface UpstreamPem {
  /** Null for the system's authorities. */
  readonly ca: string | null
  /** What the gateway shows of itself; null for nothing. */
  readonly cert: string | null
  readonly key: string | null
}

/** The texts of the files of an upstream's `tls`. */
export function upstreamPem(
  { ca, cert, key }: UpstreamBlueprint['tls'],
  files: Readonly<Record<string, string>>,
): UpstreamPem {
  const text = (path: string | null) => (path === null ? null : (files[path] ?? null))
  return { ca: text(ca), cert: text(cert), key: text(key) }
}

/** `hostname` is that of the target. */
export function upstreamTlsOptions(
  { verify, serverName }: UpstreamBlueprint['tls'],
  { ca, cert, key }: UpstreamPem,
  hostname: string,
): ConnectionOptions {
  const name = serverName ?? hostname
  return {
    ...(net.isIP(name) === 0 && { servername: name }),
    ...(ca !== null && { ca }),
    ...(cert !== null && key !== null && { cert, key }),
    rejectUnauthorized: verify,
    checkServerIdentity: (_, certificate) => tls.checkServerIdentity(name, certificate),
  }
}
