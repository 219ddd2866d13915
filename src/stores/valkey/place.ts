// Where the server of a store is: at its URL, or where its sentinels say.

import type { StoreBlueprint } from '../../core/blueprint.ts'
import type { Address, ConnectionSettings } from './connection.ts'
import { Sentinels } from './sentinels.ts'

export interface StorePlace {
  /** Whether `find` may lead elsewhere while the server is still there. */
  readonly moves: boolean
  find(): Promise<Address>
  /** Says that what `find` led to was of no use. */
  distrust(): void
  close(): void
}

const sentinelMs = 1_000

export function placeOf(definition: StoreBlueprint, settings: ConnectionSettings): StorePlace {
  const { url, sentinels, master, sentinelUsername, sentinelPassword } = definition
  if (url !== null) {
    const { hostname, port } = new URL(url)
    const address = { host: bare(hostname), port: port === '' ? 6379 : Number(port) }
    return { moves: false, find: () => Promise.resolve(address), distrust() {}, close() {} }
  }
  const own = { username: sentinelUsername, password: sentinelPassword, database: 0, timeoutMs: sentinelMs }
  const asked = new Sentinels(sentinels.map(sentinelOf), master ?? '', { ...settings, ...own })
  return {
    moves: true,
    find: () => asked.primary(),
    distrust: () => asked.distrust(),
    close: () => asked.close(),
  }
}

export function settingsOf(definition: StoreBlueprint, files: Readonly<Record<string, string>>): ConnectionSettings {
  const { url, username, password, tls, timeout: timeoutMs } = definition
  const textOf = (path: string | null | undefined) =>
    path === null || path === undefined ? null : (files[path] ?? null)
  const given = url === null ? null : new URL(url)
  const isTls = given === null ? tls !== null : given.protocol === 'rediss:'
  const user = given === null || given.username === '' ? null : decodeURIComponent(given.username)
  return {
    username: username ?? user,
    password,
    database: Number(given?.pathname.slice(1) ?? 0),
    tls: isTls
      ? { serverName: tls?.serverName ?? null, ca: textOf(tls?.ca), cert: textOf(tls?.cert), key: textOf(tls?.key) }
      : null,
    timeoutMs,
  }
}

function sentinelOf(text: string): Address {
  const { hostname, port } = new URL(`redis://${text}`)
  return { host: bare(hostname), port: port === '' ? 26_379 : Number(port) }
}

/** URLs put addresses of IPv6 in brackets. */
function bare(hostname: string): string {
  return hostname.replace(/^\[|\]$/g, '')
}
