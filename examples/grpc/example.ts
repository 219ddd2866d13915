// All four kinds of gRPC calls through the gateway, and gRPC-Web.

import type { Example } from '../example.ts'

const say = 'node examples/grpc/say.mjs 127.0.0.1:8080'
const web = 'curl -s http://127.0.0.1:8080/talk.Talk/Say -H "content-type: application/grpc-web-text"'

export const example: Example = {
  title: 'gRPC through the gateway: all four kinds of calls, keys, and gRPC-Web',
  config: 'examples/grpc/turnpike.yaml',
  services: [{ name: 'talk', file: 'examples/grpc/server.ts', port: 9015 }],
  ports: [8080],
  calls: [
    { title: 'One message, one answer.', command: `${say} say hello`, expect: /^you said hello\n$/ },
    { title: 'A status of the service passes.', command: `${say} say`, expect: /^INVALID_ARGUMENT: nothing to say\n$/ },
    { title: 'Many messages, one answer.', command: `${say} join one two`, expect: /^one two\n$/ },
    { title: 'Messages both ways.', command: `${say} chat one two`, expect: /^ONE\nTWO\n$/ },
    {
      title: 'A policy refuses: the status is one of gRPC.',
      command: `${say} count sheep`,
      expect: /^UNAUTHENTICATED: The call is not authenticated\.\n$/,
    },
    {
      title: 'With a key: one message, many answers.',
      command: `API_KEY=key-of-the-shop-0123456789 ${say} count sheep`,
      expect: /^sheep 1\nsheep 2\nsheep 3\n$/,
    },
    {
      title: 'gRPC-Web, as browsers speak it: a message in base64, and the answer with its trailers.',
      command: `${web} -d AAAAAAcKBWhlbGxv | base64 -d | tr -d '\\0'`,
      expect: /you said hello[^]*grpc-status: 0/,
    },
  ],
}
