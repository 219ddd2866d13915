// The smallest useful config.

import type { Example } from '../example.ts'

export const example: Example = {
  title: 'one service behind the gateway',
  config: 'examples/minimal/turnpike.yaml',
  services: [{ name: 'hello', file: 'examples/minimal/hello.ts', port: 9001 }],
  ports: [8080],
  calls: [
    { title: 'Forwarded.', command: 'curl -s http://localhost:8080/hello/ada', expect: /^\{"hello":"ada"\}\n$/ },
    { title: 'Answered by the gateway.', command: 'curl -s http://localhost:8080/ping', expect: /^pong$/ },
    {
      title: 'No route: an error as RFC 9457 problem details.',
      command: 'curl -s http://localhost:8080/nowhere',
      expect: /"status":404,"code":"route-not-found"/,
    },
  ],
}
