// What can be said of a blueprint only when all of it is known: routes that hide others, certificates, names, ports.

import { readFileSync } from 'node:fs'
import { lookup } from 'node:dns/promises'
import net from 'node:net'
import type { ExtraProblem } from '../config/resolve.ts'
import type { Blueprint } from '../core/blueprint.ts'
import type { ListenerBlueprint } from '../core/listener-schema.ts'
import { checkClientTrust, checkPair, loadCertificates } from '../edge/tls.ts'
import { KeyRefused } from '../identity/signing-key.ts'
import { findConflicts } from '../runtime/router/conflicts.ts'
import { signatureVerifier } from './signature-verifier.ts'

/** Checks that need no network. */
export function checkBlueprint(blueprint: Blueprint): ExtraProblem[] {
  return [
    ...checkRoutes(blueprint),
    ...checkCertificates(blueprint),
    ...checkClientCas(blueprint),
    ...checkUpstreamCertificates(blueprint),
    ...checkSigningKeys(blueprint),
  ]
}

function checkRoutes(blueprint: Blueprint): ExtraProblem[] {
  return findConflicts(blueprint.routes, blueprint.paths.case).map(({ first, second }) => ({
    path: ['routes', second.routeIndex, 'match', second.matchIndex],
    message: `the route ${second.route} can never be told apart from the route ${first.route}, which is written before it`,
    hint: 'Remove one of the two, or give one a match that the other does not have (host, path, method, header or query).',
  }))
}

function checkCertificates(blueprint: Blueprint): ExtraProblem[] {
  return blueprint.listeners.flatMap(({ tls }, index) => {
    if (tls === null) return []
    return tls.certificates.flatMap((certificate, at) => {
      const files = Object.fromEntries(
        [certificate.cert, certificate.key].map(path => [path, readFileSync(path, 'utf8')]),
      )
      try {
        loadCertificates({ ...tls, certificates: [certificate], clientCa: null }, files)
        return []
      } catch (error) {
        return {
          path: ['listeners', index, 'tls', 'certificates', at],
          message: (error as Error).message,
          hint: pairHint,
        }
      }
    })
  })
}

const pairHint =
  'Give the PEM file of the certificate (with its chain) as `cert` and the PEM file of its own private key as `key`.'

function checkClientCas(blueprint: Blueprint): ExtraProblem[] {
  return blueprint.listeners.flatMap(({ tls }, index) => {
    const clientCa = tls?.clientCa ?? null
    if (tls === null || clientCa === null) return []
    const paths = clientCa.crl === null ? [clientCa.file] : [clientCa.file, clientCa.crl]
    try {
      checkClientTrust(tls, Object.fromEntries(paths.map(path => [path, readFileSync(path, 'utf8')])))
      return []
    } catch (error) {
      const hint = 'Give PEM files: of the authorities that sign client certificates, and of their revocation lists.'
      return [{ path: ['listeners', index, 'tls', 'clientCa'], message: (error as Error).message, hint }]
    }
  })
}

function checkUpstreamCertificates({ upstreams }: Blueprint): ExtraProblem[] {
  return Object.entries(upstreams).flatMap(([name, { tls }]): ExtraProblem[] => {
    const { cert, key } = tls
    if (cert === null || key === null) return []
    try {
      checkPair(cert, key, path => readFileSync(path, 'utf8'))
      return []
    } catch (error) {
      return [{ path: ['upstreams', name, 'tls', 'cert'], message: (error as Error).message, hint: pairHint }]
    }
  })
}

function checkSigningKeys({ consumers }: Blueprint): ExtraProblem[] {
  return consumers.flatMap(({ credentials }, index) =>
    credentials.flatMap((credential, at): ExtraProblem[] => {
      if (credential.kind !== 'signature') return []
      try {
        signatureVerifier(credential.with, path => readFileSync(path, 'utf8'))
        return []
      } catch (error) {
        if (!(error instanceof KeyRefused)) throw error
        return [{ path: ['consumers', index, 'credentials', at], message: error.message, hint: error.hint }]
      }
    }),
  )
}

const lookupMsMax = 5_000

/** Names of upstream targets that do not resolve now. Names that `known` has are not asked about again. */
export async function checkNames(blueprint: Blueprint, known: ReadonlySet<string>): Promise<ExtraProblem[]> {
  const wanted = Object.entries(blueprint.upstreams).flatMap(([upstream, { targets }]) =>
    targets.map(({ url }, index) => ({ hostname: hostnameOf(url), path: ['upstreams', upstream, 'targets', index] })),
  )
  const problems = await Promise.all(
    wanted.map(async ({ hostname, path }) => {
      if (net.isIP(hostname) !== 0 || known.has(hostname)) return []
      const reason = await lookupProblem(hostname)
      if (reason === null) return []
      const message = `the name ${hostname} does not resolve (${reason})`
      return [{ path, message, hint: 'Correct the name, or mend the name service, or give an IP address.' }]
    }),
  )
  return problems.flat()
}

/** Names of the targets of a blueprint. */
export function namesOf(blueprint: Blueprint): Set<string> {
  return new Set(Object.values(blueprint.upstreams).flatMap(({ targets }) => targets.map(({ url }) => hostnameOf(url))))
}

function hostnameOf(url: string): string {
  return new URL(url).hostname.replace(/^\[|\]$/g, '')
}

async function lookupProblem(hostname: string): Promise<string | null> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<string>(resolve => {
    timer = setTimeout(() => resolve('no answer within 5 s'), lookupMsMax)
  })
  const answer = lookup(hostname).then(
    () => null,
    (error: NodeJS.ErrnoException) => error.code ?? error.message,
  )
  const reason = await Promise.race([answer, late])
  clearTimeout(timer)
  return reason
}

/**
 * Tries a port alone, without SO_REUSEPORT: with it, two gateways could share a port and neither would notice. Returns the
 * port, chosen by the system where it was 0. Rejects with a `PortTaken`.
 */
export function probePort({ host, port }: Pick<ListenerBlueprint, 'host' | 'port'>): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer()
    server.once('error', (error: NodeJS.ErrnoException) => reject(new PortRefused(host, port, error)))
    server.listen({ port, ...(host !== null && { host }), exclusive: true }, () => {
      const address = server.address()
      server.close(() => resolve(address !== null && typeof address === 'object' ? address.port : port))
    })
  })
}

/** A port that cannot be listened on. */
export class PortRefused extends Error {
  constructor(host: string | null, port: number, cause: NodeJS.ErrnoException) {
    const address = host === null ? `port ${port}` : `${host}:${port}`
    const reasons: Readonly<Record<string, string>> = {
      EADDRINUSE: 'it is in use by another program. Stop that program, or choose another port.',
      EACCES:
        'permission denied. Ports below 1024 need the capability CAP_NET_BIND_SERVICE; choose a higher port, or grant it.',
      EADDRNOTAVAIL:
        'no interface of this machine has that address. Correct `host`, or leave it out for all addresses.',
      ENOTFOUND: 'the name does not resolve. Correct `host`, or give an IP address.',
    }
    super(`cannot listen on ${address}: ${reasons[cause.code ?? ''] ?? cause.message}`, { cause })
    this.name = 'PortRefused'
  }
}
