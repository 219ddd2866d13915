// Certificates both ways: clients prove themselves to the gateway, and the gateway to the service behind it.

import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Example } from '../example.ts'
import { authority, type Certificate, selfSigned, signedBy } from '../tls/certificate.ts'

const certificates = path.join(import.meta.dirname, 'certs')
const file = (name: string) => `examples/mtls/certs/${name}`
const to = `--cacert ${file('gateway.pem')} --resolve api.example.test:8443:127.0.0.1`
const as = (name: string) => `--cert ${file(`${name}.pem`)} --key ${file(`${name}.key`)}`

export const example: Example = {
  title: 'certificates both ways (mTLS)',
  config: 'examples/mtls/turnpike.yaml',
  services: [{ name: 'ledger', file: 'examples/mtls/ledger.ts', port: 9443 }],
  ports: [8443],
  async prepare() {
    mkdirSync(certificates, { recursive: true })
    const partners = authority('partners')
    const gateways = authority('gateways')
    write('partners', partners)
    write('gateways', gateways)
    write('gateway', selfSigned(['api.example.test']))
    write('ledger', selfSigned(['ledger.example.test']))
    write('acme', signedBy(partners, ['acme.example.test']))
    write('stranger', signedBy(authority('strangers'), ['stranger.example.test']))
    write('gateway-client', signedBy(gateways, ['gateway.example.test']))
  },
  calls: [
    {
      title:
        'A partner with its certificate. The service asked the gateway for one too, and is told about the partner’s.',
      command: `curl -s ${to} ${as('acme')} https://api.example.test:8443/ledger`,
      expect: /^\{"gateway":"gateway\.example\.test","partner":"acme\.example\.test"\}\n$/,
    },
    {
      title: 'A client cannot write the field by itself.',
      command: `curl -s ${to} -H 'Client-Cert: :Zm9yZ2Vk:' https://api.example.test:8443/open`,
      expect: /^\{"gateway":"gateway\.example\.test","partner":"nobody"\}\n$/,
    },
    {
      title: 'Without a certificate the route refuses.',
      command: `curl -s -o /dev/null -w '%{http_code}' ${to} https://api.example.test:8443/ledger`,
      expect: /^401$/,
    },
    {
      title: 'With a certificate of another authority there is not even a connection.',
      command: `curl -s ${to} ${as('stranger')} https://api.example.test:8443/ledger || echo refused`,
      expect: /^refused\n$/,
    },
    {
      title: 'The service takes nobody but the gateway.',
      command: `curl -s --cacert ${file('ledger.pem')} --resolve ledger.example.test:9443:127.0.0.1 https://ledger.example.test:9443/ || echo refused`,
      expect: /^refused\n$/,
    },
  ],
}

function write(name: string, { cert, key }: Certificate): void {
  writeFileSync(path.join(certificates, `${name}.pem`), cert)
  writeFileSync(path.join(certificates, `${name}.key`), key, { mode: 0o600 })
}
