// `npm run check`: types, lint, format and the import rule. Runs all of them and says at the end which failed.

import { spawn } from 'node:child_process'
import path from 'node:path'
import process from 'node:process'
import { findBreaches, readSources } from './imports.ts'

interface Outcome {
  readonly isGreen: boolean
  readonly output: string
}

const root = path.join(import.meta.dirname, '..')
const wanted = process.argv.slice(2)
const checks: Readonly<Record<string, () => Promise<Outcome>>> = {
  types: () => runTool('tsc', ['--noEmit']),
  lint: () => runTool('oxlint', ['--type-aware', '--deny-warnings']),
  format: () => runTool('biome', ['format', '.']),
  imports: checkImports,
}

const failed: string[] = []
for (const [name, check] of Object.entries(checks)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  const startedMs = Date.now()
  const { isGreen, output } = await check()
  const seconds = ((Date.now() - startedMs) / 1000).toFixed(1)
  process.stdout.write(`${isGreen ? 'ok    ' : 'FAILED'} ${name} (${seconds} s)\n`)
  if (!isGreen) {
    failed.push(name)
    process.stdout.write(`${output.trimEnd()}\n\n`)
  }
}
if (failed.length > 0) {
  process.exitCode = 1
  process.stdout.write(`Failed: ${failed.join(', ')}. One alone: npm run check -- ${failed[0]}\n`)
  if (failed.includes('format')) process.stdout.write('`npm run format` mends the format.\n')
}

function runTool(name: string, args: string[]): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(path.join(root, 'node_modules', '.bin', name), args, { cwd: root })
    let output = ''
    child.stdout.on('data', text => (output += String(text)))
    child.stderr.on('data', text => (output += String(text)))
    child.on('error', reject)
    child.on('close', code => resolve({ isGreen: code === 0, output }))
  })
}

function checkImports(): Promise<Outcome> {
  const breaches = findBreaches(readSources(root))
  return Promise.resolve({ isGreen: breaches.length === 0, output: breaches.join('\n') })
}
