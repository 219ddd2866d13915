// Certificates that come by themselves, from an ACME server of this machine.

import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Example } from '../example.ts'
import { authority } from '../tls/certificate.ts'

const folder = import.meta.dirname
const to = '--cacert examples/acme/certs/authority.pem --resolve shop.example.test:8443:127.0.0.1'

export const example: Example = {
  title: 'certificates that come by themselves (ACME)',
  config: 'examples/acme/turnpike.yaml',
  services: [{ name: 'acme', file: 'examples/acme/serve.ts', port: 9014 }],
  ports: [8443, 8080, 9080],
  async prepare() {
    // What an earlier run left was signed by another authority.
    rmSync(path.join(folder, 'data'), { recursive: true, force: true })
    mkdirSync(path.join(folder, 'certs'), { recursive: true })
    const { cert, key } = authority('Acme of this machine')
    writeFileSync(path.join(folder, 'certs', 'authority.pem'), cert)
    writeFileSync(path.join(folder, 'certs', 'authority.key'), key, { mode: 0o600 })
  },
  calls: [
    {
      title: 'A certificate that nobody put there. Until it is there, a moment after the start, handshakes fail.',
      command: `curl -s --retry 20 --retry-delay 1 --retry-all-errors ${to} https://shop.example.test:8443/`,
      expect: /^hello over TLS\n$/,
    },
    {
      title: 'How it stands with it.',
      command: 'curl -s http://127.0.0.1:9080/certificates',
      expect: /"name": "shop\.example\.test",\s+"state": "issued",/,
    },
    {
      title: 'The plain port sends everything else to TLS; only proofs are answered there.',
      command: `curl -s -o /dev/null -w '%{http_code} %{redirect_url}' -H 'Host: shop.example.test' http://127.0.0.1:8080/x`,
      expect: /^308 https:\/\/shop\.example\.test:8443\/x$/,
    },
  ],
}
