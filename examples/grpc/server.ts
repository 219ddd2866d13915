// A gRPC service with one method of each kind: node server.ts PORT.

import process from 'node:process'
import {
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  Server,
  ServerCredentials,
  status,
} from '@grpc/grpc-js'
import { type Text, talk } from './talk.ts'

const server = new Server()
server.addService(talk, {
  say(call: ServerUnaryCall<Text, Text>, answer: sendUnaryData<Text>) {
    if (call.request.text === '') answer({ code: status.INVALID_ARGUMENT, details: 'nothing to say' })
    else answer(null, { text: `you said ${call.request.text}` })
  },
  count(call: ServerWritableStream<Text, Text>) {
    for (let i = 1; i <= 3; i++) call.write({ text: `${call.request.text} ${i}` })
    call.end()
  },
  join(call: ServerReadableStream<Text, Text>, answer: sendUnaryData<Text>) {
    const words: string[] = []
    call.on('data', ({ text }: Text) => words.push(text))
    call.on('end', () => answer(null, { text: words.join(' ') }))
  },
  chat(call: ServerDuplexStream<Text, Text>) {
    call.on('data', ({ text }: Text) => call.write({ text: text.toUpperCase() }))
    call.on('end', () => call.end())
  },
})

server.bindAsync(`127.0.0.1:${process.argv[2]}`, ServerCredentials.createInsecure(), error => {
  if (error !== null) throw error
})
process.once('SIGTERM', () => server.forceShutdown())
process.on('SIGINT', () => {})
