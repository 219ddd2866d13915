// Folders for what the gateway keeps, for its own user alone.

import { existsSync, lstatSync, mkdirSync, statSync } from 'node:fs'
import { dirname } from 'node:path'

/**
 * Makes a folder and those above it that are missing. Node's own recursion never ends where a folder cannot be made in one that
 * is there, as below /proc.
 *
 * @throws Error where it cannot be made, or where something else has its name.
 */
export function makeFolder(path: string): void {
  const parent = dirname(path)
  if (parent !== path && !existsSync(parent)) makeFolder(parent)
  try {
    mkdirSync(path, { mode: 0o700 })
  } catch (error) {
    const found = statSync(path, { throwIfNoEntry: false })
    if (found?.isDirectory() === true) return
    if (found !== undefined || lstatSync(path, { throwIfNoEntry: false }) === undefined) throw error
    throw Object.assign(new Error(`${path} is a link that leads nowhere`, { cause: error }), { code: 'ENOENT' })
  }
}
