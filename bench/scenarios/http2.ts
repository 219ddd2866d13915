// What does HTTP/2 towards the client cost, and what a gRPC call?

import { nginx } from '../peers/nginx.ts'
import { turnpike } from '../peers/turnpike.ts'
import { callsScenario, sameShape } from '../scenario.ts'

export const http2 = callsScenario({
  name: 'http2',
  title: 'HTTP/2 in, HTTP/1.1 out',
  note: 'Replies of 1 kB JSON over 8 connections with 10 calls at once on each, without TLS, by h2load.',
  candidates: sameShape([nginx, turnpike], { protocol: 'http2' }),
  load: { connections: 8, streams: 10 },
  goal: { ratioMax: 2 },
})

export const grpc = callsScenario({
  name: 'grpc',
  title: 'gRPC, one message and one answer',
  note: 'HTTP/2 in and out with trailers: nginx by grpc_pass. 8 connections with 10 calls at once on each; nginx is the service, too.',
  candidates: sameShape([nginx, turnpike], { protocol: 'grpc' }),
  upstream: 'grpc',
  load: {
    ...{ connections: 8, streams: 10, path: '/bench.Service/Call', bodyBytes: 100 },
    headers: { 'content-type': 'application/grpc', te: 'trailers' },
  },
  goal: { ratioMax: 2 },
})
