// WebSockets through the gateway.

import type { Example } from '../example.ts'

const say = 'node examples/websocket/say.mjs ws://localhost:8080'

export const example: Example = {
  title: 'an echo and a chat over WebSockets',
  config: 'examples/websocket/turnpike.yaml',
  services: [{ name: 'chat', file: 'examples/websocket/server.ts', port: 9001 }],
  ports: [8080],
  calls: [
    { title: 'Echo.', command: `${say}/echo hello again`, expect: /^hello\nagain\n$/ },
    {
      title: 'Chat; try it from two terminals.',
      command: `${say}/chat/kitchen 'dinner is ready'`,
      expect: /^someone joined kitchen, 1 here\ndinner is ready\n$/,
    },
    {
      title: 'A route without upgrades: the service gets a plain call, and says that it wanted an upgrade.',
      command: `${say}/plain hello`,
      expect: /^refused with 426\n$/,
    },
  ],
}
