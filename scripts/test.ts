// Runs the tests: `npm test`, or `npm test -- PATTERN` for the files whose path contains it.
//
// Files run beside each other, but those in test/e2e that say `Runs alone` in their head: they measure real time, fill the machine or
// need ports that others may have.

import { globSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { printMissingTools } from './tools.ts'

interface Counts {
  passed: number
  failed: number
  skipped: number
}

const fileTimeoutMs = 600_000
/** Files that are shown as the slowest ones. */
const shownMax = 12

process.chdir(new URL('..', import.meta.url).pathname)
const startedMs = Date.now()
const { patterns, namePatterns } = readArguments(process.argv.slice(2))
const files = chooseFiles(patterns)
const e2e = files.filter(file => file.startsWith('test/e2e/'))
const alone = new Set(e2e.filter(file => /^(?:\/\/.*\n)*\/\/ Runs alone/.test(readFileSync(file, 'utf8'))))

if (e2e.length > 0) printMissingTools()
const counts: Counts = { passed: 0, failed: 0, skipped: 0 }
const times: { readonly file: string; readonly seconds: number }[] = []
await runFiles(
  files.filter(file => !alone.has(file)),
  availableParallelism(),
)
await runFiles([...alone], 1)
finish()

/** Bare words choose files; `--name TEXT` chooses tests by their title. */
function readArguments(args: string[]): { patterns: string[]; namePatterns: string[] } {
  const read = { patterns: [] as string[], namePatterns: [] as string[] }
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? ''
    if (arg === '--name') read.namePatterns.push(args[++i] ?? '')
    else if (arg.startsWith('-'))
      stop(`npm test does not know \`${arg}\`. It takes PATTERN (part of a path) and --name TEXT.`)
    else read.patterns.push(arg)
  }
  return read
}

function chooseFiles(wanted: string[]): string[] {
  const all = globSync(['src/**/*.test.ts', 'test/**/*.test.ts']).sort()
  const chosen = wanted.length === 0 ? all : all.filter(file => wanted.some(pattern => file.includes(pattern)))
  if (chosen.length === 0) stop(`None of the ${all.length} test files has ${wanted.join(' or ')} in its path.`)
  return chosen
}

function runFiles(chosen: string[], concurrency: number): Promise<void> {
  if (chosen.length === 0) return Promise.resolve()
  const options = namePatterns.length > 0 ? { testNamePatterns: namePatterns } : {}
  const stream = run({ files: chosen, concurrency, timeout: fileTimeoutMs, ...options })
  stream.on('test:summary', data => {
    if (data.file !== undefined) {
      times.push({ file: path.relative(process.cwd(), data.file), seconds: data.duration_ms / 1000 })
      return
    }
    const { tests, passed, skipped, todo } = data.counts
    counts.passed += passed
    counts.skipped += skipped + todo
    counts.failed += tests - passed - skipped - todo
    if (!data.success) process.exitCode = 1
  })
  return new Promise((resolve, reject) => {
    stream.on('error', reject)
    stream.compose(spec).on('end', resolve).pipe(process.stdout, { end: false })
  })
}

function finish(): void {
  const seconds = ((Date.now() - startedMs) / 1000).toFixed(1)
  const isGreen = process.exitCode !== 1 && counts.failed === 0
  process.stdout.write(`\n${files.length} files in ${seconds} s\n`)
  if (files.length > shownMax) {
    const slowest = times.sort((a, b) => b.seconds - a.seconds).slice(0, shownMax)
    const shown = slowest.map(time => `  ${time.seconds.toFixed(1).padStart(6)} s  ${time.file}\n`)
    process.stdout.write(`The slowest:\n${shown.join('')}`)
  }
  if (isGreen && patterns.length === 0) {
    process.stdout.write('Next: `npm start` runs the example shop, `npm run check` checks types, style and imports.\n')
  }
  if (!isGreen) process.stdout.write('Run one file again with: npm test -- PART-OF-ITS-PATH\n')
  if (counts.passed + counts.failed === 0) process.exitCode = 1
  process.stdout.write(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`)
}

function stop(message: string): never {
  process.stderr.write(`turnpike: ${message}\n`)
  process.exit(2)
}
