// TLS with two certificates chosen by SNI.

import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Example } from '../example.ts'
import { selfSigned } from './certificate.ts'

const certificates = path.join(import.meta.dirname, 'certs')
const at = (name: string, port: number) => `--resolve ${name}.example.test:${port}:127.0.0.1`
const trusting = (name: string) => `--cacert examples/tls/certs/${name}.pem`

export const example: Example = {
  title: 'TLS with two certificates',
  config: 'examples/tls/turnpike.yaml',
  services: [{ name: 'hello', file: 'examples/minimal/hello.ts', port: 9001 }],
  ports: [8443, 8080],
  async prepare() {
    mkdirSync(certificates, { recursive: true })
    for (const name of ['shop', 'partners']) {
      const { cert, key } = selfSigned([`${name}.example.test`])
      writeFileSync(path.join(certificates, `${name}.pem`), cert)
      writeFileSync(path.join(certificates, `${name}.key`), key, { mode: 0o600 })
    }
  },
  calls: [
    {
      title: 'The certificate of the shop.',
      command: `curl -s ${trusting('shop')} ${at('shop', 8443)} https://shop.example.test:8443/hello/ada`,
      expect: /^\{"hello":"ada"\}\n$/,
    },
    {
      title: 'The certificate of the partners, on the same port.',
      command: `curl -s ${trusting('partners')} ${at('partners', 8443)} https://partners.example.test:8443/`,
      expect: /^partners only\n$/,
    },
    {
      title: 'Plain HTTP is sent to TLS.',
      command: `curl -s -o /dev/null -w '%{http_code} %{redirect_url}' ${at('shop', 8080)} 'http://shop.example.test:8080/hello?x=1'`,
      expect: /^308 https:\/\/shop\.example\.test:8443\/hello\?x=1$/,
    },
  ],
}
