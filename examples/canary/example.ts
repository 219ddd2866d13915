// Two releases of a service, and who meets which.

import type { Example } from '../example.ts'

const hello = 'curl -s http://localhost:8080/hello'

export const example: Example = {
  title: 'a canary release and a mirror',
  config: 'examples/canary/turnpike.yaml',
  services: [
    { name: 'stable', file: 'examples/canary/release.ts', port: 9001 },
    { name: 'next', file: 'examples/canary/release.ts', port: 9002 },
  ],
  ports: [8080, 9080],
  calls: [
    {
      title: 'Most users stay on the stable release.',
      command: `${hello} -H 'x-user: ada'`,
      expect: /^\{"release":"1\.4"\}\n$/,
    },
    {
      title: 'One in ten gets the next one, and keeps it.',
      command: `for call in 1 2 3; do ${hello} -H 'x-user: alan'; done`,
      expect: /^(\{"release":"1\.5"\}\n){3}$/,
    },
    {
      title: 'Of a hundred users about ten get it.',
      command: `for user in $(seq 100); do ${hello} -H "x-user: $user"; done | grep -c 1.5`,
      expect: /^([5-9]|1[0-6])\n$/,
    },
    {
      title: 'A browser gets a cookie that keeps it on its side.',
      command: 'curl -si http://localhost:8080/page | grep -i ^set-cookie',
      expect: /^set-cookie: lane=[0-9a-z]{10}; Path=\/; Max-Age=2592000; HttpOnly; SameSite=Lax\r\n$/,
    },
    { title: 'Who asks for it.', command: `${hello} -H 'x-preview: yes'`, expect: /^\{"release":"1\.5"\}\n$/ },
    {
      title: 'The stable release answers, the next one gets a copy.',
      command: 'curl -s http://localhost:8080/shadow; sleep 0.2; curl -s http://localhost:8080/seen',
      expect: /^\{"release":"1\.4"\}\n\{"release":"1\.5","copies":[1-9]\d*\}\n$/,
    },
  ],
}
