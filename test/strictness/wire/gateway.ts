// A real gateway for the wire tests: one worker, one listener, its config in a temporary file.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { createGateway, createLog, type Gateway } from '../../../src/index.ts'

export interface TestGateway {
  readonly port: number
  /** The value of a series in the metrics, by the start of its line, summed over all that match. */
  metric(pattern: RegExp): Promise<number>
  readonly logged: readonly string[]
  close(): Promise<void>
}

/** Starts a gateway by this config, in JSON's clothes. */
export async function startGateway(config: object): Promise<TestGateway> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'turnpike-'))
  const file = path.join(folder, 'turnpike.json')
  await writeFile(file, JSON.stringify(config))
  const logged: string[] = []
  const log = createLog({ level: 'error', isPretty: false, write: line => logged.push(line) })
  const gateway = await createGateway({ config: file, log, watch: false })
  return {
    port: gateway.addresses[0]?.port ?? 0,
    metric: pattern => readMetric(gateway, pattern),
    logged,
    close: async () => {
      await gateway.close(1_000)
      await rm(folder, { recursive: true })
    },
  }
}

async function readMetric(gateway: Gateway, pattern: RegExp): Promise<number> {
  const { host, port } = gateway.adminAddress ?? { host: '', port: 0 }
  const response = await fetch(`http://${host}:${port}/metrics`)
  const lines = (await response.text()).split('\n').filter(line => pattern.test(line))
  if (lines.length === 0) throw new Error(`no metric ${pattern}`)
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
}
