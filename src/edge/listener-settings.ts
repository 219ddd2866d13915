// What a listener is made of: from a blueprint and its files to contexts, trust, and the name of its socket.

import { createHash } from 'node:crypto'
import type tls from 'node:tls'
import type { Blueprint, PathsBlueprint } from '../core/blueprint.ts'
import type { ListenerBlueprint, TlsBlueprint } from '../core/listener-schema.ts'
import { type Authorities, readAuthorities } from './client-certificate.ts'
import type { PaceSettings } from './pace.ts'
import { type Certificates, clientTrust, loadCertificates } from './tls.ts'
import { compileTrust } from './trust.ts'

/** All that a listener is made of, prepared from a blueprint; making it finds the mistakes, using it cannot fail. */
export interface ListenerSettings {
  readonly blueprint: ListenerBlueprint
  readonly paths: PathsBlueprint
  readonly certificates: Certificates | null
  readonly isTrusted: (address: string) => boolean
  /** Whose connections begin with a PROXY header; null for nobody's. */
  readonly isProxy: ((address: string) => boolean) | null
  /** Authorities of client certificates, as options of a secure context. */
  readonly clientTrust: tls.SecureContextOptions & { readonly sessionIdContext?: string }
  /** The same, to tell who signed a certificate. */
  readonly authorities: Authorities
  readonly sessionLifetimeMs: number
  /** How fast this worker takes new connections; null for as fast as they come. */
  readonly pace: PaceSettings | null
}

/** Throws an Error where a certificate cannot be used. */
export function prepareListener(
  blueprint: ListenerBlueprint,
  { paths, tlsSessions }: Pick<Blueprint, 'paths' | 'tlsSessions'>,
  files: Readonly<Record<string, string>>,
  workers: number,
): ListenerSettings {
  const { accepts } = blueprint.limits
  return {
    blueprint,
    paths,
    certificates: blueprint.tls === null ? null : loadCertificates(blueprint.tls, files),
    isTrusted: compileTrust(blueprint.trustedProxies),
    isProxy: blueprint.proxyProtocol === null ? null : compileTrust(blueprint.proxyProtocol.from),
    clientTrust: blueprint.tls === null ? {} : sessionsBoundTo(clientTrust(blueprint.tls, files), blueprint.tls),
    authorities: readAuthorities(files[blueprint.tls?.clientCa?.file ?? ''] ?? ''),
    sessionLifetimeMs: tlsSessions.lifetime,
    pace: accepts && { perMs: accepts.count / accepts.windowMs / workers, waitMs: blueprint.timeouts.head },
  }
}

/**
 * A session that began under other authorities does not resume, nor one without a certificate where one is required: the client
 * is asked for its certificate anew.
 */
function sessionsBoundTo(
  trust: ReturnType<typeof clientTrust>,
  { clientCa }: TlsBlueprint,
): ListenerSettings['clientTrust'] {
  if (trust.ca === undefined) return {}
  const context = createHash('sha256')
    .update(`${clientCa?.mode}\n`)
    .update(trust.ca)
    .update(trust.crl ?? '')
    .digest('hex')
  return { ...trust, sessionIdContext: context.slice(0, 32) }
}

/** What makes two listeners the same socket: a change of anything else is taken over while it is open. */
export function listenerKey({ host, port, tls: secure, proxyProtocol, http2, limits }: ListenerBlueprint): string {
  const clientCa = secure?.clientCa ?? null
  const clients = clientCa === null ? '' : ` ${clientCa.mode}`
  const proxied = proxyProtocol === null ? '' : ' proxied'
  const paced = limits.accepts === null ? '' : ' paced'
  return `${host ?? '*'} ${port} ${secure === null ? 'plain' : `tls${http2.enabled ? ' h2' : ''}`}${clients}${proxied}${paced}`
}
