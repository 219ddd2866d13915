// The stage of one scenario: a temporary folder, the upstream and the candidates, all started, all surely stopped.

import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { selfSigned } from '../examples/tls/certificate.ts'
import { isAnswering } from '../examples/ports.ts'
import { findTool } from '../scripts/tools.ts'
import type { Setup } from './peer.ts'
import { frame } from './peers/nginx.ts'
import { Program, programPath } from './process.ts'
import type { Candidate, Scenario } from './scenario.ts'

export interface Contender {
  readonly candidate: Candidate
  readonly program: Program
  readonly port: number
  readonly origin: string
}

export class Stage {
  readonly folder: string = mkdtempSync(path.join(tmpdir(), 'turnpike-bench-'))
  readonly contenders: Contender[] = []
  /** Who was left out, and why. */
  readonly left: string[] = []
  readonly #programs: Program[] = []
  readonly #scenario: Scenario
  #upstreamPort = 0

  constructor(scenario: Scenario) {
    this.#scenario = scenario
  }

  /** Starts the upstream, then every candidate that can do the scenario. */
  async start(candidates: readonly Candidate[]): Promise<void> {
    // Workers of nginx give up root, and still have to read and write in here.
    chmodSync(this.folder, 0o755)
    await this.#startUpstream()
    for (const candidate of candidates) await this.#startCandidate(candidate)
  }

  async stop(): Promise<void> {
    await Promise.all(this.#programs.map(program => program.stop()))
    rmSync(this.folder, { recursive: true, force: true })
  }

  async #startUpstream(): Promise<void> {
    const { upstream, loadCores } = this.#scenario
    const port = await freePort()
    this.#upstreamPort = port
    const folder = path.join(this.folder, 'upstream')
    mkdirSync(folder)
    const file = path.join(folder, 'nginx.conf')
    writeFileSync(file, upstreamConfig(folder, port, upstream === 'grpc'))
    const words =
      upstream === 'sink'
        ? [process.execPath, path.join(import.meta.dirname, 'load', 'sink.mjs'), String(port)]
        : [programPath('nginx'), '-p', folder, '-c', file, '-e', path.join(folder, 'error.log')]
    await this.#run('the upstream', loadCores, words, port)
  }

  async #startCandidate(candidate: Candidate): Promise<void> {
    const { peer, shape, label } = candidate
    if (peer.program !== null && findTool(peer.program) === null) {
      this.left.push(`${label}: ${peer.program} is not installed`)
      return
    }
    const port = await freePort()
    const folder = path.join(this.folder, label.replaceAll(/\W+/g, '-'))
    mkdirSync(folder)
    const write = (name: string, text: string): string => {
      const file = path.join(folder, name)
      writeFileSync(file, text)
      return file
    }
    const tls = shape.hasTls ? writeCertificate(write) : null
    const setup: Setup = { ...shape, port, upstreamPort: this.#upstreamPort, tls, folder, write }
    const words = peer.command(setup)
    if (words === null) {
      this.left.push(`${label}: has nothing like this`)
      return
    }
    const program = await this.#run(label, candidate.cores, words, port)
    this.contenders.push({ candidate, program, port, origin: `${tls ? 'https' : 'http'}://127.0.0.1:${port}` })
  }

  async #run(name: string, cores: string, words: readonly string[], port: number): Promise<Program> {
    const program = new Program(name, cores, words)
    this.#programs.push(program)
    await program.untilReady(() => isAnswering(port))
    return program
  }
}

function writeCertificate(write: Setup['write']): NonNullable<Setup['tls']> {
  const { cert, key } = selfSigned(['localhost'])
  return { cert: write('cert.pem', cert), key: write('key.pem', key), both: write('both.pem', cert + key) }
}

/** 1 kB of JSON for every path but /large; or the answer of a gRPC service. */
function upstreamConfig(folder: string, port: number, isGrpc: boolean): string {
  const item = { id: 1, name: 'widget', tags: ['a', 'b', 'c'], description: '' }
  const small = JSON.stringify({ ...item, description: 'x'.repeat(1000 - JSON.stringify(item).length) })
  const answer = `default_type application/grpc; add_trailer grpc-status 0; return 200 '${'x'.repeat(105)}';`
  writeFileSync(path.join(folder, 'large'), 'x'.repeat(100_000))
  return frame(
    { folder, workers: 1 },
    `open_file_cache max=10; sendfile on;
    server {
      listen 127.0.0.1:${port} ${isGrpc ? 'http2' : ''} backlog=4096; default_type application/json;
      location = /large { root ${folder}; }
      location / { ${isGrpc ? answer : `return 200 '${small}';`} }
    }`,
  )
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}
