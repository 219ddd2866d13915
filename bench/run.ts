// `npm run bench`: measures Turnpike beside nginx, HAProxy, Caddy and a Node proxy, and writes bench/RESULTS.md.

import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { findTool, printMissingTools } from '../scripts/tools.ts'
import { type Effort, measure } from './measure.ts'
import { peers } from './peers/all.ts'
import { leadsOf, markdown, printable, type Surroundings, tableOf, verdictOf } from './report.ts'
import type { Result, Scenario } from './scenario.ts'
import { scenarios } from './scenarios/all.ts'
import type { Stage } from './stage.ts'

const usage = `npm run bench -- [options]
  --scenario NAME,NAME   ${scenarios.map(({ name }) => name).join(', ')}
  --only NAME,NAME       ${peers.map(peer => peer.name.toLowerCase()).join(', ')}
  --rounds N             rounds of each candidate, the best counts (3)
  --seconds N            length of a round (5)
  --quick                one round of two seconds
  --out FILE             where the results go (bench/RESULTS.md for a whole run, else nowhere)
`

interface Options {
  readonly chosen: readonly Scenario[]
  readonly only: readonly string[]
  readonly effort: Effort
  readonly out: string | null
}

let stage: Stage | null = null
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void (stage?.stop() ?? Promise.resolve()).finally(() => process.exit(130)))
}

try {
  await run(readOptions())
} catch (error) {
  process.stderr.write(`\nturnpike: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}

async function run({ chosen, only, effort, out }: Options): Promise<void> {
  const results: Result[] = []
  for (const scenario of chosen) {
    process.stdout.write(`\n${scenario.title}\n`)
    const candidates = scenario.candidates.filter(
      ({ peer }) => only.length === 0 || only.includes(peer.name.toLowerCase()),
    )
    const result = await measure(scenario, candidates, effort, showProgress, made => (stage = made))
    showProgress('')
    results.push(result)
    process.stdout.write(`${printable(tableOf(result))}\n`)
    for (const line of [...result.left, ...[verdictOf(result)?.text ?? [], leadsOf(result)].flat()]) {
      process.stdout.write(`  ${line}\n`)
    }
  }
  if (out === null) return
  writeFileSync(out, markdown(results, await surroundings(effort)))
  process.stdout.write(`\nWritten to ${path.relative(process.cwd(), out)}\n`)
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      scenario: { type: 'string', default: '' },
      only: { type: 'string', default: '' },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      out: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    process.stdout.write(usage)
    process.exit(0)
  }
  requireTools()
  const names = words(values.scenario)
  const only = words(values.only).map(word => word.toLowerCase())
  refuseUnknown(
    'scenario',
    names,
    scenarios.map(({ name }) => name),
  )
  refuseUnknown(
    'proxy',
    only,
    peers.map(peer => peer.name.toLowerCase()),
  )
  const seconds = positive('--seconds', values.seconds ?? (values.quick ? '2' : '5'))
  const rounds = positive('--rounds', values.rounds ?? (values.quick ? '1' : '3'))
  const isWhole = names.length === 0 && only.length === 0 && !values.quick
  const out = values.out ?? (isWhole ? path.join(import.meta.dirname, 'RESULTS.md') : null)
  const chosen = names.length === 0 ? scenarios : scenarios.filter(({ name }) => names.includes(name))
  return { chosen, only, effort: { rounds, seconds, warmUpSeconds: Math.max(3, seconds) }, out }
}

/** Without these nothing can be measured; the other proxies may be missing. */
function requireTools(): void {
  printMissingTools(['wrk', 'h2load', 'nginx', 'haproxy', 'caddy', 'taskset'])
  const missing = ['wrk', 'h2load', 'nginx', 'taskset'].filter(name => findTool(name) === null)
  if (missing.length > 0) throw new Error(`${missing.join(' and ')} must be there: they make the load or the upstream`)
  if (process.platform !== 'linux') throw new Error('the benchmark reads /proc, which only Linux has')
  if (os.availableParallelism() < 2) throw new Error('two cores are needed, one for the proxy and one for the load')
}

function words(text: string): string[] {
  return text
    .split(',')
    .map(word => word.trim())
    .filter(word => word !== '')
}

function refuseUnknown(noun: string, given: readonly string[], known: readonly string[]): void {
  const wrong = given.find(word => !known.includes(word))
  if (wrong !== undefined) throw new Error(`there is no ${noun} \`${wrong}\`; there are: ${known.join(', ')}`)
}

function positive(option: string, text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1)
    throw new Error(`${option} takes a whole number from 1 on, not \`${text}\``)
  return value
}

function showProgress(text: string): void {
  if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K${text && `  ${text} …`}`)
}

async function surroundings({ rounds, seconds }: Effort): Promise<Surroundings> {
  const installed = peers.filter(peer => peer.program === null || findTool(peer.program) !== null)
  const versions = await Promise.all(installed.map(async peer => `${peer.name} ${await peer.version()}`))
  const model = /^model name\s*:\s*(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? os.arch()
  const memory = `${Math.round(os.totalmem() / 2 ** 30)} GiB`
  return {
    date: new Date().toISOString().slice(0, 10),
    commit: commit(),
    machine: `${model}, ${os.cpus().length} cores, ${memory}, ${os.type()} ${os.release()}`,
    versions: [...versions, `Node ${process.versions.node}`],
    effort: `Rounds: ${rounds} of ${seconds} s for each candidate, after a warm-up.`,
  }
}

function commit(): string {
  try {
    const isDirty = git('status', '--porcelain', '--untracked-files=no', '--', '../src') !== ''
    return git('rev-parse', '--short', 'HEAD') + (isDirty ? ' with uncommitted changes' : '')
  } catch {
    return 'unknown'
  }
}

function git(...args: string[]): string {
  return execFileSync('git', args, { cwd: import.meta.dirname })
    .toString()
    .trim()
}
