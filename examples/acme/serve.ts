// Runs the ACME server of this folder. It looks for the proof of any name on port 8080 of this machine.

import { readFileSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { AcmeServer } from './acme-server.ts'

const [port = '9014'] = process.argv.slice(2)
const read = (name: string) => readFileSync(path.join(import.meta.dirname, 'certs', name), 'utf8')

await AcmeServer.start({
  port: Number(port),
  challengePort: 8080,
  by: { name: 'Acme of this machine', cert: read('authority.pem'), key: read('authority.key') },
})
process.once('SIGTERM', () => process.exit(0))
