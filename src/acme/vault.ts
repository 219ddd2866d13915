// Where account keys and certificates are kept: files that only this user can read, each written whole or not at all.

import { createHash, randomBytes } from 'node:crypto'
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { certificatesIn, type Pair } from './pair.ts'

export interface Vault {
  /** PEM of the account's key; null where there is none yet. */
  account(): string | null
  keepAccount(key: string): void
  /** Null where there is none, or what is there cannot be read as one. */
  pair(name: string): Pair | null
  keepPair(name: string, pair: Pair): void
}

/** Keeps what belongs to one ACME server in a folder of its own: certificates of a test server are never taken for real ones. */
export function createVault(data: string, directory: string): Vault {
  const digest = createHash('sha256').update(directory).digest('hex').slice(0, 12)
  const host = new URL(directory).hostname.replaceAll(/[^a-z0-9.-]/g, '_')
  const folder = path.join(data, 'acme', `${host}-${digest}`)
  const accountFile = path.join(folder, 'account.key')
  // Names were checked to be host names: nothing in them leads out of the folder.
  const pairFile = (name: string) => path.join(folder, `${name}.pem`)
  return {
    account: () => read(accountFile),
    keepAccount: key => write(accountFile, key),
    pair(name) {
      const text = read(pairFile(name)) ?? ''
      const [key] = /-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]+-----END [A-Z ]*PRIVATE KEY-----\n?/.exec(text) ?? []
      const cert = certificatesIn(text)
      return key === undefined || cert === '' ? null : { key, cert }
    },
    // In one file, so that a key never stands beside the certificate of another.
    keepPair: (name, { key, cert }) => write(pairFile(name), `${key.trim()}\n${cert.trim()}\n`),
  }
}

function read(file: string): string | null {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}

function write(file: string, text: string): void {
  const folder = path.dirname(file)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  chmodSync(folder, 0o700)
  const beside = `${file}.${randomBytes(6).toString('hex')}.new`
  try {
    writeFileSync(beside, text, { mode: 0o600, flag: 'wx', flush: true })
    renameSync(beside, file)
  } catch (error) {
    rmSync(beside, { force: true })
    throw error
  }
}
