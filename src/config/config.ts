// A path to a blueprint, with the file system and the environment of this process: what the command line and reloads call.

import { readFileSync } from 'node:fs'
import { resolve as resolvePath } from 'node:path'
import { loadSources, SourceError } from './load.ts'
import { type Resolution, type ResolveInput, resolve } from './resolve.ts'

/** Reads and resolves the config at a path: a file, or a folder of files. Never rejects for what it finds there. */
export async function readConfig(
  path: string,
  input: Pick<ResolveInput, 'language' | 'extraChecks'> & {
    readonly env: Readonly<Record<string, string | undefined>>
  },
): Promise<Resolution> {
  const { env, ...rest } = input
  try {
    const sources = await loadSources(path)
    return resolve({ ...rest, sources, surroundings: { env, readText } })
  } catch (error) {
    if (!(error instanceof SourceError)) throw error
    const { message, hint } = error
    return { ok: false, problems: [{ message, hint, position: null, frame: '' }], filesRead: [resolvePath(path)] }
  }
}

function readText(path: string): string {
  return readFileSync(path, 'utf8')
}
