// gRPC-Web and gRPC with Connect at both ends, and the text form by hand.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import http2, { type Http2Server } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { createFileRegistry, type DescService, fromJson } from '@bufbuild/protobuf'
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import { Code, ConnectError, createClient, type Transport } from '@connectrpc/connect'
import { connectNodeAdapter, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node'
import { ask } from '../tools/ask.ts'
import { Program } from '../tools/program.ts'

const method = (name: string, more: object = {}) => ({
  name,
  inputType: '.talk.Text',
  outputType: '.talk.Text',
  ...more,
})

/** The service of examples/grpc/talk.proto. */
const talk = describeTalk()

function describeTalk(): DescService {
  const file = {
    name: 'talk.proto',
    package: 'talk',
    syntax: 'proto3',
    messageType: [
      {
        name: 'Text',
        field: [{ name: 'text', number: 1, type: 'TYPE_STRING', label: 'LABEL_OPTIONAL', jsonName: 'text' }],
      },
    ],
    service: [
      {
        name: 'Talk',
        method: [
          method('Say'),
          method('Count', { serverStreaming: true }),
          method('Join', { clientStreaming: true }),
          method('Chat', { clientStreaming: true, serverStreaming: true }),
        ],
      },
    ],
  }
  const service = createFileRegistry(fromJson(FileDescriptorSetSchema, { file: [file] })).getService('talk.Talk')
  if (service === undefined) throw new Error('the service is not in its own description')
  return service
}

interface Text {
  readonly text: string
}

const handlers = {
  say({ text }: Text) {
    if (text === 'fail') throw new ConnectError('not like this', Code.FailedPrecondition, { 'x-detail': 'seven' })
    return { text: `you said ${text}` }
  },
  async *count({ text }: Text) {
    for (let i = 1; i <= 3; i++) yield { text: `${text} ${i}` }
    if (text === 'fail') throw new ConnectError('no more', Code.Aborted)
  },
  async join(texts: AsyncIterable<Text>) {
    let joined = ''
    for await (const { text } of texts) joined += text
    return { text: joined }
  },
  async *chat(texts: AsyncIterable<Text>) {
    for await (const { text } of texts) yield { text: text.toUpperCase() }
  },
}

let server: Http2Server
let program: Program
before(async () => {
  server = http2.createServer(connectNodeAdapter({ routes: router => router.service(talk, handlers as never) }))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  program = await Program.start({
    workers: 1,
    admin: { port: 0 },
    data: 'state',
    upstreams: { talk: { protocol: 'http2', targets: [`http://127.0.0.1:${port}`] } },
    routes: [
      {
        match: { path: '/talk.Talk/**', headers: { 'x-closed': '*' } },
        policies: [{ 'grpc-web': {} }, { 'api-key': {} }],
        forward: 'talk',
      },
      { match: { path: '/talk.Talk/**' }, policies: [{ 'grpc-web': {} }], forward: 'talk' },
    ],
  })
})
after(async () => {
  await program[Symbol.asyncDispose]()
  server.close()
})

// The border: what the description says.
interface Talk {
  say(text: Text, options?: object): Promise<Text>
  count(text: Text): AsyncIterable<Text>
  join(texts: AsyncIterable<Text>): Promise<Text>
  chat(texts: AsyncIterable<Text>): AsyncIterable<Text>
}
const talkOver = (transport: Transport) => createClient(talk, transport) as unknown as Talk

const webClient = (httpVersion: '1.1' | '2') => talkOver(createGrpcWebTransport({ baseUrl: program.url, httpVersion }))
const grpcClient = () => talkOver(createGrpcTransport({ baseUrl: program.url }))

async function* words(...texts: string[]): AsyncGenerator<Text> {
  for (const text of texts) yield { text }
}

async function collect(texts: AsyncIterable<Text>): Promise<string[]> {
  const all: string[] = []
  for await (const { text } of texts) all.push(text)
  return all
}

/** How many calls ended so. */
function told(code: string): Promise<number> {
  return program.total('turnpike_grpc_calls_total', { rpc_grpc_status_code: code })
}

for (const [title, httpVersion] of [
  ['gRPC-Web over HTTP/1.1', '1.1'],
  ['gRPC-Web over HTTP/2', '2'],
] as const) {
  describe(title, () => {
    test('one answer, and many', async () => {
      assert.equal((await webClient(httpVersion).say({ text: 'hello' })).text, 'you said hello')
      assert.deepEqual(await collect(webClient(httpVersion).count({ text: 'n' })), ['n 1', 'n 2', 'n 3'])
    })

    test('statuses of the service, in a head and behind messages', async () => {
      await assert.rejects(webClient(httpVersion).say({ text: 'fail' }), (error: ConnectError) => {
        assert.deepEqual(
          [error.code, error.rawMessage, error.metadata.get('x-detail')],
          [Code.FailedPrecondition, 'not like this', 'seven'],
        )
        return true
      })
      await assert.rejects(
        collect(webClient(httpVersion).count({ text: 'fail' })),
        (error: ConnectError) => error.code === Code.Aborted,
      )
    })

    test('statuses of the gateway', async () => {
      await assert.rejects(
        webClient(httpVersion).say({ text: 'x' }, { headers: { 'x-closed': '1' } }),
        (error: ConnectError) => error.code === Code.Unauthenticated,
      )
    })

    test('are counted, whether they stand in a head, in the last frame or are the gateway’s', async () => {
      const codes = ['0', '9', '10', '16']
      const before = await Promise.all(codes.map(told))
      const client = webClient(httpVersion)
      await client.say({ text: 'hello' })
      await client.say({ text: 'fail' }).catch(() => {})
      await collect(client.count({ text: 'fail' })).catch(() => {})
      await client.say({ text: 'x' }, { headers: { 'x-closed': '1' } }).catch(() => {})
      for (const [i, code] of codes.entries()) {
        await program.untilTotal('turnpike_grpc_calls_total', { rpc_grpc_status_code: code }, (before[i] ?? 0) + 1)
      }
    })
  })
}

describe('gRPC by Connect', () => {
  test('all kinds of calls', async () => {
    assert.equal((await grpcClient().say({ text: 'hello' })).text, 'you said hello')
    assert.deepEqual(await collect(grpcClient().count({ text: 'n' })), ['n 1', 'n 2', 'n 3'])
    assert.equal((await grpcClient().join(words('a', 'b'))).text, 'ab')
    assert.deepEqual(await collect(grpcClient().chat(words('a', 'b'))), ['A', 'B'])
  })

  test('statuses', async () => {
    await assert.rejects(
      grpcClient().say({ text: 'fail' }),
      (error: ConnectError) => error.code === Code.FailedPrecondition,
    )
    await assert.rejects(
      grpcClient().say({ text: 'x' }, { headers: { 'x-closed': '1' } }),
      (error: ConnectError) => error.code === Code.Unauthenticated,
    )
  })
})

test('gRPC-Web as text: base64 both ways, with the trailers as the last frame', async () => {
  const message = Buffer.from([0, 0, 0, 0, 7, 10, 5, ...Buffer.from('hello')])
  const { status, headers, text } = await ask(program.port, {
    ...{ method: 'POST', path: '/talk.Talk/Say', body: message.toString('base64') },
    headers: { 'content-type': 'application/grpc-web-text+proto', 'x-grpc-web': '1' },
  })
  assert.equal(status, 200)
  assert.equal(headers['content-type'], 'application/grpc-web-text+proto')
  const bytes = Buffer.concat((text.match(/[^=]+=*/g) ?? []).map(piece => Buffer.from(piece, 'base64')))
  const length = bytes.readUInt32BE(1)
  assert.equal(bytes.subarray(7, 5 + length).toString(), 'you said hello')
  assert.equal(bytes[5 + length], 0x80)
  assert.match(bytes.subarray(10 + length).toString(), /^grpc-status: 0\r\n/m)
})

test('a body that is not base64 is refused', async () => {
  const { headers } = await ask(program.port, {
    ...{ method: 'POST', path: '/talk.Talk/Say', body: '!!!!' },
    headers: { 'content-type': 'application/grpc-web-text' },
  })
  assert.equal(headers['grpc-status'], '13')
})
