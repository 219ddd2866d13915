// The programs that tests and benchmarks use when they are there, and how to get them.

import { accessSync, constants } from 'node:fs'
import path from 'node:path'
import process from 'node:process'

/** Program to the Debian package that brings it. */
export const tools: Readonly<Record<string, string>> = {
  curl: 'curl',
  openssl: 'openssl',
  wrk: 'wrk',
  h2load: 'nghttp2-client',
  nghttp: 'nghttp2-client',
  nghttpd: 'nghttp2-server',
  nginx: 'nginx-light',
  haproxy: 'haproxy',
  caddy: 'caddy',
  taskset: 'util-linux',
  prlimit: 'util-linux',
  slowhttptest: 'slowhttptest',
}

/** The full path of a program, or null. Looks into sbin too, which the PATH of ordinary users leaves out. */
export function findTool(name: string): string | null {
  const folders = [...(process.env.PATH ?? '').split(path.delimiter), '/usr/sbin', '/usr/local/sbin', '/sbin']
  for (const folder of folders) {
    const file = path.join(folder, name)
    try {
      accessSync(file, constants.X_OK)
      return file
    } catch {
      // Not in this folder.
    }
  }
  return null
}

/** Says which programs are missing and how to get them; says nothing when all are there. */
export function printMissingTools(names: readonly string[] = Object.keys(tools)): void {
  const missing = names.filter(name => findTool(name) === null)
  if (missing.length === 0) return
  const packages = [...new Set(missing.map(name => tools[name] ?? name))]
  process.stdout.write(
    `Not installed: ${missing.join(', ')}. What needs them is skipped. ` +
      `To get them on Debian: apt-get install ${packages.join(' ')}\n`,
  )
}
