// A TLS server of openssl that refuses clients by the alerts of the protocol.

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { Certificate } from '../../examples/tls/certificate.ts'
import { freePort } from './free-port.ts'
import { until } from './until.ts'

/** Owns an `openssl s_server` that demands a client certificate of `ca` (PEM), until `stop`. */
export class StrictServer {
  readonly port: number
  readonly #child: ChildProcess
  readonly #folder: string

  private constructor(port: number, child: ChildProcess, folder: string) {
    this.port = port
    this.#child = child
    this.#folder = folder
  }

  static async start(version: string, server: Certificate, ca: string): Promise<StrictServer> {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'turnpike-s-server-'))
    const file = (name: string, text: string) => {
      writeFileSync(path.join(folder, name), text)
      return path.join(folder, name)
    }
    const port = await freePort()
    const pair = ['-cert', file('server.pem', server.cert), '-key', file('server.key', server.key)]
    const demand = ['-CAfile', file('ca.pem', ca), '-Verify', '1', '-verify_return_error']
    const flag = version === 'TLSv1.3' ? '-tls1_3' : '-tls1_2'
    const child = spawn('openssl', ['s_server', '-accept', `127.0.0.1:${port}`, ...pair, ...demand, flag, '-www'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    let output = ''
    child.stdout.on('data', (text: Buffer) => (output += text.toString()))
    await until(
      () => output.includes('ACCEPT'),
      () => 'openssl s_server to listen',
    )
    return new StrictServer(port, child, folder)
  }

  stop(): void {
    this.#child.kill()
    rmSync(this.#folder, { recursive: true })
  }
}
