// Authorities and clients made by the program openssl, in a folder of their own.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'

export interface Pair {
  readonly cert: string
  readonly key: string
}

/** Owns the folder until it is disposed. */
export class CertificateFolder implements Disposable {
  readonly folder: string = mkdtempSync(path.join(os.tmpdir(), 'turnpike-mtls-'))

  read(name: string): string {
    return readFileSync(path.join(this.folder, name), 'utf8')
  }

  authority(name: string): Pair {
    this.#run(
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.pem`,
      '-subj',
      `/CN=${name}`,
    )
    return { cert: this.read(`${name}.pem`), key: this.read(`${name}.key`) }
  }

  /** One that `parent` vouches for, by whatever name. */
  authorityBelow(parent: string, file: string, name: string): void {
    const extensions = [
      'basicConstraints=critical,CA:TRUE',
      'subjectKeyIdentifier=hash',
      'authorityKeyIdentifier=keyid',
    ]
    writeFileSync(path.join(this.folder, 'ca-ext'), extensions.join('\n'))
    this.#run(
      ...['req', '-newkey', 'rsa:2048', '-nodes', '-keyout', `${file}.key`],
      ...['-out', `${file}.csr`, '-subj', `/CN=${name}`],
    )
    this.#run(
      ...['x509', '-req', '-in', `${file}.csr`, '-CA', `${parent}.pem`, '-CAkey', `${parent}.key`],
      ...['-CAcreateserial', '-out', `${file}.pem`, '-days', '2', '-extfile', 'ca-ext'],
    )
  }

  client(authority: string, name: string): Pair {
    writeFileSync(path.join(this.folder, 'ext'), `subjectAltName=DNS:${name}.acme.test,URI:spiffe://acme/${name}\n`)
    this.#run(
      'req',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.csr`,
      '-subj',
      `/O=Acme/CN=${name}`,
    )
    this.#run(
      ...['x509', '-req', '-in', `${name}.csr`, '-CA', `${authority}.pem`, '-CAkey', `${authority}.key`],
      ...['-CAcreateserial', '-out', `${name}.pem`, '-days', '2', '-extfile', 'ext'],
    )
    return { cert: this.read(`${name}.pem`), key: this.read(`${name}.key`) }
  }

  revocationList(authority: string, name: string): string {
    writeFileSync(path.join(this.folder, 'index'), '')
    writeFileSync(
      path.join(this.folder, 'ca.cnf'),
      '[ca]\ndefault_ca=it\n[it]\ndatabase=index\ndefault_md=sha256\ndefault_crl_days=2\n',
    )
    const by = ['-config', 'ca.cnf', '-cert', `${authority}.pem`, '-keyfile', `${authority}.key`]
    this.#run('ca', ...by, '-revoke', `${name}.pem`)
    this.#run('ca', ...by, '-gencrl', '-out', 'crl.pem')
    return this.read('crl.pem')
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true })
  }

  #run(...args: string[]): void {
    execFileSync('openssl', args, { cwd: this.folder, stdio: ['ignore', 'pipe', 'pipe'] })
  }
}
