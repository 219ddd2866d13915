// Turns results into tables: for the terminal and for RESULTS.md.

import type { Result } from './scenario.ts'

export interface Surroundings {
  readonly date: string
  readonly commit: string
  readonly machine: string
  readonly versions: readonly string[]
  readonly effort: string
}

type Table = readonly (readonly string[])[]

/** Rows of a result, the head first. */
export function tableOf(result: Result): Table {
  if (result.scenario.kind === 'script') return [['figure'], ...result.lines.map(line => [line])]
  if (result.scenario.kind === 'idle') {
    const rows = result.idle.map(row => [row.label, bytes(row.bytesPerConnection), mega(row.rssBytes)])
    return [['proxy', 'per connection', 'memory in all'], ...rows]
  }
  const base = result.calls.find(row => row.label === result.scenario.baseline)?.microsPerCall
  const hasErrors = result.calls.some(row => row.errors > 0)
  const rows = result.calls.map(row => [
    row.label,
    row.microsPerCall.toFixed(1),
    base === undefined ? '' : (row.microsPerCall / base).toFixed(2),
    Math.round(row.callsPerSecond).toLocaleString('en'),
    millis(row.p50Micros),
    millis(row.p99Micros),
    mega(row.rssBytes),
    ...(hasErrors ? [String(row.errors)] : []),
  ])
  const head = ['proxy', 'CPU µs/call', 'ratio', 'calls/s', 'p50', 'p99', 'memory']
  return [hasErrors ? [...head, 'errors'] : head, ...rows]
}

/** What Turnpike should reach in this scenario and what it did, or null where there is no goal or no figure. */
export function verdictOf({ scenario, calls, idle }: Result): { text: string; isMet: boolean } | null {
  const { goal } = scenario
  if (goal === null) return null
  if ('bytesMax' in goal) {
    const got = idle.find(row => row.label === 'Turnpike')?.bytesPerConnection
    if (got === undefined) return null
    return verdict(`at most ${bytes(goal.bytesMax)} for each idle connection`, bytes(got), got <= goal.bytesMax)
  }
  const own = calls.find(row => row.label === 'Turnpike')
  const base = calls.find(row => row.label === scenario.baseline)
  if (own === undefined || base === undefined) return null
  const isClean = own.errors === 0
  if ('moreMicrosMax' in goal) {
    const more = own.microsPerCall - base.microsPerCall
    const text = `${scenario.title}: at most ${goal.moreMicrosMax} µs of CPU per call more than ${scenario.baseline}`
    return verdict(text, `${more.toFixed(1)} µs`, more <= goal.moreMicrosMax && isClean)
  }
  const ratio = own.microsPerCall / base.microsPerCall
  const text = `${scenario.title}: at most ${goal.ratioMax} times the CPU per call of ${scenario.baseline}`
  return verdict(text, ratio.toFixed(2), ratio <= goal.ratioMax && isClean)
}

/** How far ahead of the other proxies for people who do not write C. */
export function leadsOf({ scenario, calls }: Result): string[] {
  const own = calls.find(row => row.label === 'Turnpike')
  if (own === undefined || scenario.name !== 'plain') return []
  const others = calls.filter(row => row.label === 'Caddy' || row.label === 'http-proxy-3')
  return others.map(row => {
    const factor = row.microsPerCall / own.microsPerCall
    return verdict(`${scenario.title}: several times ahead of ${row.label}`, `${factor.toFixed(1)} times`, factor >= 3)
      .text
  })
}

function verdict(goal: string, got: string, isMet: boolean): { text: string; isMet: boolean } {
  return { text: `${isMet ? 'met' : 'MISSED'} | ${goal} | ${got}`, isMet }
}

export function printable(table: Table): string {
  const widths = (table[0] ?? []).map((_, column) => Math.max(...table.map(row => row[column]?.length ?? 0)))
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ')
  return table.map(row => `  ${line(row)}`).join('\n')
}

export function markdown(
  results: readonly Result[],
  { date, commit, machine, versions, effort }: Surroundings,
): string {
  const goals = results.flatMap(result => [verdictOf(result)?.text ?? [], leadsOf(result)].flat())
  return `# What was measured

Written by \`npm run bench\`. ${date}, commit ${commit}.

- Machine: ${machine}.
- Versions: ${versions.join(', ')}.
- ${effort}
- Each proxy runs on core 0 with one worker, client (wrk) and upstream on core 1, access logs off. Candidates take turns; the
  round with the least CPU per call counts, because noise only adds. CPU is user and system time of the process, its threads
  and its children over the measured window; calls/s and latency are bounded by client and upstream sharing one core. Ratios
  are to nginx in the same run: absolute figures drift on a shared machine.

## Goals

| | goal | got |
|---|---|---|
${goals.map(goal => `| ${goal} |`).join('\n')}

${results.map(section).join('\n')}`
}

function section(result: Result): string {
  const [head = [], ...rows] = tableOf(result)
  if (result.scenario.kind === 'script') {
    return `## ${result.scenario.title}\n\n${result.scenario.note}\n\n\`\`\`text\n${result.lines.join('\n')}\n\`\`\`\n`
  }
  const rule = `|---${'|---:'.repeat(head.length - 1)}|`
  const left = result.left.length > 0 ? `\nLeft out: ${result.left.join('; ')}.\n` : ''
  return `## ${result.scenario.title}\n\n${result.scenario.note}\n\n${[markdownRow(head), rule, ...rows.map(markdownRow)].join('\n')}\n${left}`
}

const markdownRow = (row: readonly string[]): string => `| ${row.join(' | ')} |`
const millis = (micros: number): string => `${(micros / 1000).toFixed(2)} ms`
const mega = (size: number): string => `${(size / 1e6).toFixed(0)} MB`
const bytes = (size: number): string => `${(size / 1000).toFixed(1)} kB`
