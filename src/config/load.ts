// Reads the config's sources: one file, or the YAML and JSON files of a folder.

import { readdir, readFile, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Source } from './problem.ts'

/** A source that could not be read at all. */
export class SourceError extends Error {
  readonly hint: string

  constructor(message: string, hint: string, cause?: unknown) {
    super(message, { cause })
    this.name = 'SourceError'
    this.hint = hint
  }
}

const sourceBytesMax = 64 * 1024 * 1024

/** Reads a file, or all `*.yaml`, `*.yml` and `*.json` of a folder by name. Rejects with a `SourceError`. */
export async function loadSources(path: string): Promise<Source[]> {
  const info = await stat(path).catch(error => Promise.reject(unreadable(path, error)))
  if (!info.isDirectory()) return [await readSource(path)]
  const names = (await readdir(path)).filter(isSourceName).sort()
  const files: string[] = []
  for (const name of names) {
    // A symlink is followed, which is how Kubernetes mounts a ConfigMap. A folder of that name is no source.
    const file = join(path, name)
    const target = await stat(file).catch(error => Promise.reject(unreadable(file, error)))
    if (!target.isDirectory()) files.push(file)
  }
  if (files.length === 0) {
    throw new SourceError(`${path} holds no config`, 'Put a file into it whose name ends in .yaml, .yml or .json.')
  }
  return Promise.all(files.map(readSource))
}

/** Whether a file of a config folder belongs to the config. */
export function isSourceName(name: string): boolean {
  return !name.startsWith('.') && /\.(ya?ml|json)$/i.test(name)
}

async function readSource(path: string): Promise<Source> {
  const bytes = await readFile(path).catch(error => Promise.reject(unreadable(path, error)))
  if (bytes.length > sourceBytesMax) throw new SourceError(`${path} is too large`, 'A config file may have 64 MiB.')
  try {
    return { path: resolve(path), label: path, text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) }
  } catch (cause) {
    throw new SourceError(`${path} is not UTF-8 text`, 'Save it with the encoding UTF-8.', cause)
  }
}

function unreadable(path: string, error: unknown): SourceError {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'ENOENT') return new SourceError(`there is no config at ${path}`, 'Check the path.', error)
  if (code === 'EACCES') {
    return new SourceError(
      `${path} may not be read`,
      'Give the user that runs the gateway the right to read it.',
      error,
    )
  }
  return new SourceError(`${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`, '', error)
}
