// Keeps web pages out of the admin server: a browser can reach loopback, and any name can be made to resolve to it.

import { hash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { BlockList, isIP } from 'node:net'

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

/** Of an address to listen on. */
export function isLoopback(host: string): boolean {
  const version = isIP(host)
  return version === 0 ? host === 'localhost' : loopback.check(host, version === 6 ? 'ipv6' : 'ipv4')
}

/** An attacker can point their own name here (DNS rebinding), but neither an IP literal, `localhost` nor the configured name. */
export function isHostAllowed(field: string | undefined, configuredHost: string): boolean {
  const host = hostOf(field ?? '')
  return (
    isIP(host) !== 0 || host === 'localhost' || host.endsWith('.localhost') || host === configuredHost.toLowerCase()
  )
}

/** Browsers send Origin with every POST. A page served from elsewhere must not reload or replace anything. */
export function isOriginAllowed({ origin, host }: IncomingHttpHeaders): boolean {
  return origin === undefined || origin.toLowerCase() === `http://${(host ?? '').toLowerCase()}`
}

/** Whether an Authorization field brings the token. */
export type TokenCheck = (field: string | undefined) => boolean

/** Compares digests, so that neither the time nor the length tells anything. */
export function createTokenCheck(token: string | null): TokenCheck {
  if (token === null) return () => false
  const wanted = hash('sha256', token, 'buffer')
  return field => {
    const given = /^Bearer +(\S+)$/i.exec(field ?? '')?.[1] ?? ''
    return timingSafeEqual(hash('sha256', given, 'buffer'), wanted)
  }
}

/** The host of a Host field, without port and brackets. */
function hostOf(field: string): string {
  const text = field.toLowerCase().replace(/:\d*$/, '')
  return /^\[(.*)\]$/.exec(text)?.[1] ?? text
}
