// A policy of one's own, given to the gateway with --extension.

import type { Example } from '../example.ts'

const url = 'http://localhost:8080/hello/ada'

export const example: Example = {
  title: 'a policy of our own',
  config: 'examples/extension/turnpike.yaml',
  extensions: ['examples/extension/signed-link.ts'],
  services: [{ name: 'hello', file: 'examples/minimal/hello.ts', port: 9001 }],
  ports: [8080],
  calls: [
    {
      title: 'A signed link, good until 2100.',
      command: `curl -si '${url}?expires=4102444800&signature=foka0L4ik6I8r4GMJAfK1sqDkbMoDka8EAqP0M7R_sE'`,
      expect: /^HTTP\/1\.1 200 .*\r\nx-link-expires: 2100-01-01T00:00:00\.000Z\r\n.*\{"hello":"ada"\}\n$/s,
    },
    {
      title: 'Signed, but expired.',
      command: `curl -s '${url}?expires=1000000000&signature=pSMP_lLPnNW05Vfakk2CdBgmw2fLEMAuysXHvXI8UeE'`,
      expect: /^this link has expired\n$/,
    },
    {
      title: 'Not signed.',
      command: `curl -s '${url}?expires=4102444800'`,
      expect: /^this link is not signed by us\n$/,
    },
    {
      title: 'The new policy is part of the language: mistakes in its options are found like any other.',
      command: 'bin/turnpike explain examples/extension/turnpike.yaml --extension examples/extension/signed-link.ts',
      expect: /"policy": "signed-link"/,
    },
  ],
}
