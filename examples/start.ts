// Starts an example: its services, then the gateway, and stops all of them together. `npm start` or `npm start -- NAME`.

import { readdirSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { setTimeout as delay } from 'node:timers/promises'
import type { Example } from './example.ts'
import { Family } from './family.ts'
import { isAnswering, requireFree } from './ports.ts'

const folder = import.meta.dirname
const root = path.join(folder, '..')
const [name = 'shop'] = process.argv.slice(2)

try {
  await start(await loadExample(name))
} catch (error) {
  process.stderr.write(`\nturnpike: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}

async function loadExample(wanted: string): Promise<Example> {
  const entries = readdirSync(folder, { withFileTypes: true })
  const names = entries.filter(entry => entry.isDirectory()).map(entry => entry.name)
  if (!names.includes(wanted)) throw new Error(`there is no example \`${wanted}\`. There are: ${names.join(', ')}`)
  const module = (await import(`./${wanted}/example.ts`)) as { example: Example }
  return module.example
}

async function start(example: Example): Promise<void> {
  await requireFree([...example.ports, ...example.services.map(service => service.port)])
  await example.prepare?.()
  const family = new Family(root)
  // Not once: a second Ctrl-C would end this process before its children.
  process.on('SIGINT', () => family.stop(0))
  process.on('SIGTERM', () => family.stop(0))

  process.stdout.write(`Starting ${example.title}\n`)
  for (const service of example.services) family.spawn(service.name, [service.file, String(service.port)])
  for (const service of example.services) {
    await waitFor(family, service.name, service.port)
    process.stdout.write(`  ${service.name.padEnd(10)} http://localhost:${service.port}\n`)
  }
  const extensions = (example.extensions ?? []).flatMap(file => ['--extension', file])
  family.spawn('gateway', ['src/main.ts', 'run', example.config, ...extensions])
  for (const port of example.ports) await waitFor(family, 'gateway', port)
  // The gateway says that it is ready just after its ports answer; what to do next should stand last.
  await delay(300)
  if (!family.isStopping) printCalls(example)
}

/** The child dies or answers, whichever comes first; the family says why it died. */
async function waitFor(family: Family, child: string, port: number): Promise<void> {
  const deadlineMs = Date.now() + 20_000
  while (!family.isStopping && !(await isAnswering(port))) {
    if (Date.now() < deadlineMs) continue
    family.stop(1)
    throw new Error(`${child} did not open port ${port} within 20 seconds`)
  }
}

function printCalls(example: Example): void {
  const lines = example.calls.map(({ title, command }) => `  # ${title}\n  ${command}\n`)
  process.stdout.write(`\nReady. Call it from another terminal:\n\n${lines.join('\n')}\n`)
  process.stdout.write(`The config is ${example.config}: change it while this runs, and the change is live.\n`)
  process.stdout.write('Ctrl-C stops everything.\n')
}
