// Reads the imports of every source file and holds them against the table in import-rules.ts.

import { globSync, readFileSync } from 'node:fs'
import path from 'node:path'
import {
  fileLinesMax,
  folders,
  guardedModules,
  longFiles,
  packages,
  pureNames,
  separateUnits,
  testFile,
} from './import-rules.ts'

export interface Import {
  /** Path from the root of the repository, with `/`. */
  readonly from: string
  /** The same for a file of ours; else the name as written, such as `node:net` or `yaml`. */
  readonly to: string
  /** Whether nothing of it is left when the types are stripped. */
  readonly isType: boolean
  /** What stands between the braces of a named import, trimmed; empty for other kinds. */
  readonly names: readonly string[]
}

/** Source texts by path from the root. */
export type Sources = ReadonlyMap<string, string>

const statement = /^\s*(?:import|export)\s+(type\s)?([^'"`;]*?)\bfrom\s*['"]([^'"]+)['"]/gm
const bareImport = /^\s*import\s*['"]([^'"]+)['"]/gm
const dynamicImport = /\bimport\(\s*['"]([^'"]+)['"]\s*\)/g

/** All sources under src, tests included. */
export function readSources(root: string): Sources {
  const files = globSync('src/**/*.ts', { cwd: root }).map(file => file.split(path.sep).join('/'))
  return new Map(files.sort().map(file => [file, readFileSync(path.join(root, file), 'utf8')]))
}

/** Every breach of the table, one line each, naming the edge that broke it. Empty when all is well. */
export function findBreaches(sources: Sources): string[] {
  const code = new Map([...sources].filter(([file]) => !testFile.test(file)))
  const edges = [...code].flatMap(([file, text]) => importsOf(file, text))
  return [...edges.flatMap(breachOf), ...findCycles(edges), ...findSideEffects(code), ...findLongFiles(sources)]
}

export function importsOf(file: string, text: string): Import[] {
  const found: Import[] = []
  const add = (target = '', isType = false, names: string[] = []): void => {
    const to = target.startsWith('.') ? path.posix.join(path.posix.dirname(file), target) : target
    found.push({ from: file, to, isType, names })
  }
  for (const [, type, clause, target] of text.matchAll(statement)) {
    const names = namesIn(clause ?? '')
    const areTypes = names.length > 0 && names.every(name => name.startsWith('type '))
    add(target, type !== undefined || areTypes, names)
  }
  for (const [, target] of text.matchAll(bareImport)) add(target)
  for (const [, target] of text.matchAll(dynamicImport)) add(target)
  return found
}

/** The words of `{ a, type B }`; none for a default or a star import. */
function namesIn(clause: string): string[] {
  const inner = /^\s*\{([^}]*)\}\s*$/.exec(clause)?.[1] ?? ''
  const words = inner.split(',').map(word => word.trim())
  return words.filter(word => word !== '')
}

function breachOf(edge: Import): string[] {
  const from = folderOf(edge.from)
  const allowed = folders[from]
  if (allowed === undefined) return [describe(edge, `scripts/import-rules.ts has no line for the folder src/${from}`)]
  if (edge.to.startsWith('node:')) return breachOfModule(edge, from)
  if (!edge.to.startsWith('src/')) return breachOfPackage(edge, from)
  const to = folderOf(edge.to)
  if (to === from) return unitOf(edge.from) === unitOf(edge.to) ? [] : breachOfUnits(edge, from)
  if (allowed.includes('*') || allowed.includes(to) || (edge.isType && allowed.includes(`type:${to}`))) return []
  return [describe(edge, `${from === '.' ? 'src' : from} may import ${sayAllowed(allowed)}`)]
}

function breachOfModule(edge: Import, from: string): string[] {
  const name = edge.to.split('/')[0] ?? edge.to
  const allowed = guardedModules[name]
  if (edge.isType || allowed === undefined || allowed.includes(from)) return []
  if (edge.names.length > 0 && edge.names.every(word => pureNames.includes(word))) return []
  return [describe(edge, allowed.length === 0 ? 'nothing may import it' : `only ${allowed.join(', ')} may import it`)]
}

function breachOfPackage(edge: Import, from: string): string[] {
  const parts = edge.to.split('/')
  const name = edge.to.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] ?? '')
  const allowed = packages[name]
  if (allowed?.includes(from)) return []
  if (allowed === undefined) return [describe(edge, 'scripts/import-rules.ts does not list this package')]
  return [describe(edge, `only ${allowed.join(', ')} may import this package`)]
}

function breachOfUnits(edge: Import, folder: string): string[] {
  const [from, to] = [unitOf(edge.from), unitOf(edge.to)]
  if (!separateUnits.includes(folder) || from === folder || to === folder) return []
  return [describe(edge, `${folder} never import each other`)]
}

/** The folder under src, or `.` for a file directly in it. */
function folderOf(file: string): string {
  const parts = file.split('/')
  return parts.length > 2 ? (parts[1] ?? '.') : '.'
}

/** `policies/cors` for a file in such a folder, else the folder. */
function unitOf(file: string): string {
  const parts = file.split('/')
  return parts.length > 3 ? `${parts[1]}/${parts[2]}` : folderOf(file)
}

function sayAllowed(allowed: readonly string[]): string {
  if (allowed.length === 0) return 'nothing'
  return `only ${allowed.map(entry => entry.replace(/^type:(.*)/, '$1 (types)')).join(', ')}`
}

function describe(edge: Import, rule: string): string {
  return `${edge.from} -> ${edge.to}: ${rule}`
}

/** Circles among value imports. Types may point back: nothing is left of them when the code runs. */
export function findCycles(edges: readonly Import[]): string[] {
  const targets = new Map<string, string[]>()
  for (const edge of edges) {
    if (edge.isType || !edge.to.startsWith('src/')) continue
    targets.set(edge.from, [...(targets.get(edge.from) ?? []), edge.to])
  }
  const found: string[] = []
  const finished = new Set<string>()
  const visit = (file: string, trail: string[]): void => {
    const start = trail.indexOf(file)
    if (start >= 0) found.push(`${[...trail.slice(start), file].join(' -> ')}: imports go round in a circle`)
    if (start >= 0 || finished.has(file)) return
    for (const target of targets.get(file) ?? []) visit(target, [...trail, file])
    finished.add(file)
  }
  for (const file of targets.keys()) visit(file, [])
  return found
}

function findSideEffects(sources: Sources): string[] {
  return [...sources].flatMap(([file, text]) =>
    [...text.matchAll(bareImport)].map(
      ([, target]) => `${file} -> ${target}: nothing is registered by importing it; import a value and use it`,
    ),
  )
}

function findLongFiles(sources: Sources): string[] {
  return [...sources].flatMap(([file, text]) => {
    const lines = text.trimEnd().split('\n').length
    if (lines <= fileLinesMax || longFiles.includes(file)) return []
    return [`${file}: ${lines} lines; ${fileLinesMax} is the limit, tables are listed in scripts/import-rules.ts`]
  })
}
