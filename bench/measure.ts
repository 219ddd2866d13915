// Measures one scenario: candidates in turn, round after round, so that a busy moment of the machine hits all alike.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import process from 'node:process'
import { setTimeout as delay } from 'node:timers/promises'
import { runH2load } from './load/h2load.ts'
import { type Load, runWrk } from './load/wrk.ts'
import { printed, programPath } from './process.ts'
import type { CallsRow, Candidate, IdleRow, Result, Scenario } from './scenario.ts'
import { type Contender, Stage } from './stage.ts'

export interface Effort {
  readonly rounds: number
  readonly seconds: number
  readonly warmUpSeconds: number
}

export type Report = (text: string) => void

/** Runs a scenario with these candidates. `onStage` gets the stage before anything starts, to stop it from outside. */
export async function measure(
  scenario: Scenario,
  candidates: readonly Candidate[],
  effort: Effort,
  report: Report,
  onStage: (stage: Stage) => void,
): Promise<Result> {
  if (scenario.script !== null) {
    report(scenario.title)
    return { scenario, calls: [], idle: [], left: [], lines: await runScript(scenario.script) }
  }
  const stage = new Stage(scenario)
  onStage(stage)
  try {
    await stage.start(candidates)
    const calls = scenario.kind === 'calls' ? await measureCalls(scenario, stage.contenders, effort, report) : []
    const idle = scenario.kind === 'idle' ? await measureIdle(scenario, stage.contenders, report) : []
    return { scenario, calls, idle, left: stage.left, lines: [] }
  } finally {
    await stage.stop()
  }
}

async function runScript(name: string): Promise<string[]> {
  const script = path.join(import.meta.dirname, 'micro', name)
  const output = await printed(programPath('taskset'), ['-c', '0', process.execPath, script])
  return output.split('\n').filter(line => line !== '')
}

async function measureCalls(
  { load, loadCores }: Scenario,
  contenders: readonly Contender[],
  effort: Effort,
  report: Report,
): Promise<CallsRow[]> {
  for (const { origin, candidate } of contenders) {
    report(`warming up ${candidate.label}`)
    await runLoad(origin, load, effort.warmUpSeconds, loadCores)
  }
  const best = new Map<string, CallsRow>()
  for (let round = 1; round <= effort.rounds; round++) {
    for (const contender of contenders) {
      const { label } = contender.candidate
      report(`round ${round} of ${effort.rounds}: ${label}`)
      const row = await measureRound(contender, () => runLoad(contender.origin, load, effort.seconds, loadCores))
      if (isBetter(row, best.get(label))) best.set(label, row)
    }
  }
  return [...best.values()]
}

function runLoad(origin: string, load: Load, seconds: number, cores: string): ReturnType<typeof runWrk> {
  return (load.streams > 0 ? runH2load : runWrk)(origin, load, seconds, cores)
}

type Wrk = () => ReturnType<typeof runWrk>

async function measureRound({ program, candidate }: Contender, wrk: Wrk): Promise<CallsRow> {
  const before = program.cost()
  const measured = await wrk()
  const after = program.cost()
  if (!program.isRunning) throw new Error(`${candidate.label} died under load and printed:\n${program.output}`)
  return {
    label: candidate.label,
    microsPerCall: (after.cpuMicros - before.cpuMicros) / measured.calls,
    callsPerSecond: measured.calls / measured.seconds,
    p50Micros: measured.p50Micros,
    p99Micros: measured.p99Micros,
    rssBytes: after.rssBytes,
    errors: measured.errors,
  }
}

/** A round without errors wins over one with; among those the one with the least CPU per call. */
function isBetter(row: CallsRow, than: CallsRow | undefined): boolean {
  if (than === undefined) return true
  if (row.errors > 0 !== than.errors > 0) return row.errors === 0
  return row.microsPerCall < than.microsPerCall
}

async function measureIdle({ load, loadCores }: Scenario, contenders: readonly Contender[], report: Report) {
  const rows: IdleRow[] = []
  for (const { candidate, program, port, origin } of contenders) {
    const { label } = candidate
    report(`warming up ${label}`)
    await runWrk(origin, { ...load, connections: 64 }, 3, loadCores)
    await delay(2000)
    const before = program.cost()
    report(`opening ${load.connections} connections to ${label}`)
    const close = await openConnections(port, load.connections, load.path, loadCores)
    await delay(3000)
    const after = program.cost()
    await close()
    const bytesPerConnection = (after.rssBytes - before.rssBytes) / load.connections
    rows.push({ label, bytesPerConnection, rssBytes: after.rssBytes, connections: load.connections })
  }
  return rows
}

/** Resolves when all are open and answered, with how to close them. */
async function openConnections(port: number, count: number, target: string, cores: string) {
  const script = path.join(import.meta.dirname, 'load', 'idle.mjs')
  const words = [process.execPath, script, '127.0.0.1', String(port), String(count), target]
  const child = spawn(programPath('taskset'), ['-c', cores, ...words], { stdio: ['pipe', 'pipe', 'inherit'] })
  const [said] = (await once(child.stdout, 'data')) as [Buffer]
  if (!said.toString().startsWith('all open')) throw new Error(`idle connections: ${said.toString().trim()}`)
  return async () => {
    const exited = once(child, 'exit')
    child.stdin.end()
    await exited
  }
}
