// Notices that the config changed on disk, however it was changed: in place, by rename, by a symlink swapped above it.

import { createHash } from 'node:crypto'
import { type FSWatcher, watch as watchFolder } from 'node:fs'
import { readdir, readFile, realpath } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'

export interface WatchInput {
  /** The config: a file or a folder. */
  readonly path: string
  /** Further files that were read for it, such as certificates. */
  readonly files?: readonly string[]
  /** Called after the content changed and then kept still for `quietMs`. */
  readonly changed: () => void
  /** Editors and `kubectl` change in several steps: wait until they are through. Default 100. */
  readonly quietMs?: number
  /** Not every file system tells of changes (NFS, some containers): look by oneself this often. Default 5000. */
  readonly pollMs?: number
}

/** Watches a config. Owns its watchers and timers until `close()`. */
export class ConfigWatch {
  readonly #input: WatchInput
  readonly #watchers = new Map<string, FSWatcher>()
  readonly #poll: NodeJS.Timeout
  #files: readonly string[]
  #quiet: NodeJS.Timeout | null = null
  #fingerprint: string | null = null
  #looking: Promise<void> | null = null
  #isAgain = false
  #isClosed = false

  constructor(input: WatchInput) {
    this.#input = input
    this.#files = input.files ?? []
    this.#poll = setInterval(() => this.#look(), input.pollMs ?? 5000)
    this.#poll.unref()
    this.#look()
  }

  /** Resolves when the present state is known: changes after it are noticed. */
  async ready(): Promise<void> {
    while (this.#looking !== null) await this.#looking
  }

  /** Replaces the further files, after a reload that read others. What they hold now is taken as known. */
  watchFiles(files: readonly string[]): void {
    this.#files = files
    this.#fingerprint = null
    this.#look()
  }

  close(): void {
    this.#isClosed = true
    clearInterval(this.#poll)
    if (this.#quiet !== null) clearTimeout(this.#quiet)
    for (const watcher of this.#watchers.values()) watcher.close()
    this.#watchers.clear()
  }

  #notice(): void {
    if (this.#isClosed) return
    if (this.#quiet !== null) clearTimeout(this.#quiet)
    this.#quiet = setTimeout(() => this.#look(), this.#input.quietMs ?? 100)
    this.#quiet.unref()
  }

  #look(): void {
    if (this.#isClosed) return
    if (this.#looking !== null) {
      this.#isAgain = true
      return
    }
    this.#looking = this.#compare().finally(() => {
      this.#looking = null
      if (!this.#isAgain) return
      this.#isAgain = false
      this.#look()
    })
  }

  async #compare(): Promise<void> {
    const files = this.#files
    const folders = new Set<string>()
    const path = resolve(this.#input.path)
    const members = await membersOf(path)
    for (const file of [path, ...members, ...files]) await addFolders(file, folders)
    if (members.length > 0) folders.add(path)
    // The watchers come first, so that no change falls between looking and watching.
    this.#watch(folders)
    const fingerprint = await fingerprintOf([path, ...members, ...files])
    if (this.#isClosed || files !== this.#files) return
    const before = this.#fingerprint
    this.#fingerprint = fingerprint
    if (before !== null && before !== fingerprint) this.#input.changed()
  }

  #watch(folders: ReadonlySet<string>): void {
    if (this.#isClosed) return
    for (const [folder, watcher] of this.#watchers) {
      if (folders.has(folder)) continue
      watcher.close()
      this.#watchers.delete(folder)
    }
    for (const folder of folders) {
      if (this.#watchers.has(folder)) continue
      try {
        const watcher = watchFolder(folder, { persistent: false }, () => this.#notice())
        // A watched folder that is removed ends its watcher; the next look makes another one.
        watcher.on('error', () => this.#forget(folder))
        this.#watchers.set(folder, watcher)
      } catch {
        // The folder does not exist, or the system has no watchers left: the poll still looks.
      }
    }
  }

  #forget(folder: string): void {
    this.#watchers.get(folder)?.close()
    this.#watchers.delete(folder)
    this.#notice()
  }
}

/** The files of a folder by name; empty for a file. */
async function membersOf(path: string): Promise<string[]> {
  const names = await readdir(path).catch(() => [])
  const isSource = (name: string) => !name.startsWith('.') && /\.(ya?ml|json)$/i.test(name)
  return names
    .filter(isSource)
    .sort()
    .map(name => join(path, name))
}

/** The folder of a file, and that of the file it stands for when symlinks lead elsewhere. */
async function addFolders(path: string, folders: Set<string>): Promise<void> {
  folders.add(dirname(path))
  const real = await realpath(path).catch(() => path)
  folders.add(dirname(real))
}

/** One text for all that the config consists of. A missing file is part of it. */
async function fingerprintOf(paths: readonly string[]): Promise<string> {
  const hash = createHash('sha256')
  for (const path of paths) {
    const content = await readFile(path).catch(() => null)
    hash.update(`${path}\0${content === null ? -1 : content.length}\0`)
    if (content !== null) hash.update(content)
  }
  return hash.digest('hex')
}
