// Notices that the config changed on disk, however it was changed: in place, by rename, by a symlink swapped above it.

import { createHash } from 'node:crypto'
import { type FSWatcher, watch as watchFolder } from 'node:fs'
import { readdir, readFile, realpath, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { isSourceName } from './load.ts'

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

interface Snapshot {
  /** The names and contents that make up the config itself. */
  readonly config: string
  /** Contents of the further files, by path. */
  readonly files: ReadonlyMap<string, string>
}

/** Watches a config. Owns its watchers and timers until `close()`. Make it before the config is read, so that no change is missed. */
export class ConfigWatch {
  readonly #input: WatchInput
  /** By folder and inode: a folder that was replaced needs a new watcher. */
  readonly #watchers = new Map<string, FSWatcher>()
  readonly #poll: NodeJS.Timeout
  #files: readonly string[]
  #names: ReadonlySet<string> = new Set()
  #quiet: NodeJS.Timeout | null = null
  #known: Snapshot | null = null
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

  /** Replaces the further files, after a reload that read others. What new ones hold now is taken as known. */
  watchFiles(files: readonly string[]): void {
    this.#files = files
    this.#look()
  }

  close(): void {
    this.#isClosed = true
    clearInterval(this.#poll)
    if (this.#quiet !== null) clearTimeout(this.#quiet)
    for (const watcher of this.#watchers.values()) watcher.close()
    this.#watchers.clear()
  }

  #notice(event: string, name: string | null): void {
    // Something else may be written into the same folder all the time, such as a log.
    if (event === 'change' && name !== null && !this.#names.has(name)) return
    if (this.#isClosed) return
    if (this.#quiet !== null) clearTimeout(this.#quiet)
    this.#quiet = setTimeout(() => {
      this.#quiet = null
      this.#look()
    }, this.#input.quietMs ?? 100)
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
    const path = resolve(this.#input.path)
    const members = await membersOf(path)
    const own = [path, ...members]
    const all = [...own, ...this.#files]
    this.#names = new Set(all.map(file => basename(file)))
    // The watchers come first, so that no change falls between looking and watching.
    this.#watch(await foldersOf(all, members.length > 0 ? [path] : []))
    const config = createHash('sha256')
    for (const file of own) config.update(`${file}\0${await digestOf(file)}\0`)
    const files = new Map<string, string>()
    for (const file of this.#files) files.set(file, await digestOf(file))
    if (this.#isClosed) return
    const before = this.#known
    // Something is being written just now: what it comes to is looked at when it keeps still.
    if (before !== null && this.#quiet !== null) return
    const now: Snapshot = { config: config.digest('hex'), files }
    this.#known = now
    if (before !== null && isChanged(before, now)) this.#input.changed()
  }

  #watch(folders: ReadonlyMap<string, string>): void {
    if (this.#isClosed) return
    for (const key of this.#watchers.keys()) if (!folders.has(key)) this.#forget(key)
    for (const [key, folder] of folders) {
      if (this.#watchers.has(key)) continue
      try {
        const watcher = watchFolder(folder, { persistent: false }, (event, name) => this.#notice(event, name))
        watcher.on('error', () => this.#forget(key))
        this.#watchers.set(key, watcher)
      } catch {
        // The folder has just gone, or the system has no watchers left: the poll still looks.
      }
    }
  }

  #forget(key: string): void {
    this.#watchers.get(key)?.close()
    this.#watchers.delete(key)
  }
}

function isChanged(before: Snapshot, now: Snapshot): boolean {
  if (before.config !== now.config) return true
  for (const [file, digest] of now.files) {
    const known = before.files.get(file)
    if (known !== undefined && known !== digest) return true
  }
  return false
}

/** The sources of a folder; none for a file. */
async function membersOf(path: string): Promise<string[]> {
  const names = await readdir(path).catch(() => [])
  return names
    .filter(isSourceName)
    .sort()
    .map(name => join(path, name))
}

/** The folders of files, and those of what they stand for when symlinks lead elsewhere, by name and inode. */
async function foldersOf(files: readonly string[], more: readonly string[]): Promise<Map<string, string>> {
  const folders = new Set(more)
  for (const file of files) {
    folders.add(dirname(file))
    folders.add(dirname(await realpath(file).catch(() => file)))
  }
  const found = new Map<string, string>()
  for (const folder of folders) {
    const info = await stat(folder).catch(() => null)
    if (info !== null) found.set(`${folder}:${info.ino}`, folder)
  }
  return found
}

/** Stands for the content of a file; a missing file has one too. */
async function digestOf(path: string): Promise<string> {
  const content = await readFile(path).catch(() => null)
  return content === null ? 'none' : createHash('sha256').update(content).digest('hex')
}
