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
    this.#request(name, `/CN=${name}`, '-x509', '-out', `${name}.pem`)
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
    this.#request(file, `/CN=${name}`, '-out', `${file}.csr`)
    this.#sign(parent, file, 'ca-ext')
  }

  client(authority: string, name: string): Pair {
    writeFileSync(path.join(this.folder, 'ext'), `subjectAltName=DNS:${name}.acme.test,URI:spiffe://acme/${name}\n`)
    this.#request(name, `/O=Acme/CN=${name}`, '-out', `${name}.csr`)
    this.#sign(authority, name, 'ext')
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

  /** Makes a key, and what is to be signed with it. */
  #request(file: string, subject: string, ...more: string[]): void {
    this.#run('req', '-newkey', 'rsa:2048', '-nodes', '-keyout', `${file}.key`, '-subj', subject, ...more)
  }

  /** `extensions` is the file of what the certificate is to say. */
  #sign(authority: string, file: string, extensions: string): void {
    this.#run(
      ...['x509', '-req', '-in', `${file}.csr`, '-CA', `${authority}.pem`, '-CAkey', `${authority}.key`],
      ...['-CAcreateserial', '-out', `${file}.pem`, '-days', '2', '-extfile', extensions],
    )
  }

  #run(...args: string[]): void {
    execFileSync('openssl', args, { cwd: this.folder, stdio: ['ignore', 'pipe', 'pipe'] })
  }
}
