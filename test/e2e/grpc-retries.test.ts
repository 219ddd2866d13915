// gRPC calls that are tried again for their status, with grpc-js at both ends. Each test says what the service saw.

import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import {
  type Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientWritableStream,
  credentials,
  makeClientConstructor,
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  type ServiceError,
  status,
} from '@grpc/grpc-js'
import { talk, type Text } from '../../examples/grpc/talk.ts'
import { Program } from '../tools/program.ts'

/** What the next calls fail with, one by one; then they are answered. */
let plan: { code: status; metadata?: Record<string, string> }[] = []
/** Of each try that reached the service: when, its text, and the attempts that it told of. */
let tries: { atMs: number; text: string; attempts: string }[] = []

/** What a call is to fail with, as grpc-js takes it; null for an answer. */
function nextFailure(text: string, metadata: Metadata): { code: status; details: string; metadata: Metadata } | null {
  tries.push({ atMs: performance.now(), text, attempts: String(metadata.get('grpc-previous-rpc-attempts')) })
  const planned = plan.shift()
  if (planned === undefined) return null
  const sent = new Metadata()
  for (const [key, value] of Object.entries(planned.metadata ?? {})) sent.set(key, value)
  return { code: planned.code, details: 'as planned', metadata: sent }
}

const service = {
  say(call: ServerUnaryCall<Text, Text>, answer: sendUnaryData<Text>) {
    const failure = nextFailure(call.request.text, call.metadata)
    if (failure === null) answer(null, { text: `you said ${call.request.text}` })
    else answer(failure)
  },
  /** Fails behind its first message. */
  count(call: ServerWritableStream<Text, Text>) {
    const failure = nextFailure(call.request.text, call.metadata)
    call.write({ text: '1' })
    if (failure === null) call.end()
    else call.emit('error', failure)
  },
  join(call: ServerReadableStream<Text, Text>, answer: sendUnaryData<Text>) {
    const words: string[] = []
    call.on('data', ({ text }: Text) => words.push(text))
    call.on('end', () => {
      const failure = nextFailure(words.join(' '), call.metadata)
      if (failure === null) answer(null, { text: words.join(' ') })
      else answer(failure)
    })
  },
  /** Fails before it has read anything. */
  chat(call: ServerDuplexStream<Text, Text>) {
    const failure = nextFailure('', call.metadata)
    if (failure !== null) return call.emit('error', failure)
    call.on('data', ({ text }: Text) => call.write({ text: text.toUpperCase() }))
    return call.on('end', () => call.end())
  },
}

type Answered = (error: ServiceError | null, reply?: Text) => void
interface Talk extends Client {
  say(text: Text, metadata: Metadata, then: Answered): unknown
  count(text: Text): ClientReadableStream<Text>
  join(then: Answered): ClientWritableStream<Text>
  chat(): ClientDuplexStream<Text, Text>
}
const TalkClient = makeClientConstructor(talk, 'Talk')

let server: Server
let program: Program
let client: Talk
before(async () => {
  server = new Server()
  server.addService(talk, service)
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  )
  const on = ['unavailable', 'resource-exhausted', 'aborted', 'cancelled', 'deadline-exceeded', 'internal']
  program = await Program.start({
    workers: 1,
    upstreams: {
      talk: {
        protocol: 'http2',
        targets: [`http://127.0.0.1:${port}`],
        retry: { attempts: 2, on: on.map(name => `grpc-${name}`), budget: '100%', backoff: '1ms' },
      },
    },
    routes: [{ match: {}, forward: 'talk' }],
  })
  // The border: what the file defines.
  client = new TalkClient(`127.0.0.1:${program.port}`, credentials.createInsecure(), {
    'grpc.enable_retries': 0,
  }) as unknown as Talk
})
beforeEach(async () => {
  // The budget is a share of the calls, and some here are tried again twice.
  for (let i = 0; i < 4; i++) await say('calls that go well')
  plan = []
  tries = []
})
after(async () => {
  client.close()
  server.forceShutdown()
  await program[Symbol.asyncDispose]()
})

function say(text: string, fields: Record<string, string> = {}): Promise<{ text: string; code: status }> {
  const metadata = new Metadata()
  for (const [key, value] of Object.entries(fields)) metadata.set(key, value)
  return new Promise(resolve =>
    client.say({ text }, metadata, (error, reply) =>
      resolve({ text: reply?.text ?? '', code: error?.code ?? status.OK }),
    ),
  )
}

const waitMs = () => (tries[1]?.atMs ?? 0) - (tries[0]?.atMs ?? 0)

describe('a call that fails at once', () => {
  for (const name of [
    'UNAVAILABLE',
    'RESOURCE_EXHAUSTED',
    'ABORTED',
    'CANCELLED',
    'DEADLINE_EXCEEDED',
    'INTERNAL',
  ] as const) {
    test(`with ${name} is tried again, with its message, and tells how often it was tried`, async () => {
      plan = [{ code: status[name] }, { code: status[name] }]
      assert.deepEqual(await say('hello'), { text: 'you said hello', code: status.OK })
      assert.deepEqual(
        tries.map(({ text, attempts }) => [text, attempts]),
        [
          ['hello', ''],
          ['hello', '1'],
          ['hello', '2'],
        ],
      )
    })
  }

  test('no more often than attempts says: the client gets the last status', async () => {
    plan = Array.from({ length: 9 }, () => ({ code: status.UNAVAILABLE }))
    assert.equal((await say('hello')).code, status.UNAVAILABLE)
    assert.equal(tries.length, 3)
  })

  test('with another status is not', async () => {
    plan = [{ code: status.FAILED_PRECONDITION }]
    assert.equal((await say('hello')).code, status.FAILED_PRECONDITION)
    assert.equal(tries.length, 1)
  })

  test('the attempts of the client count too', async () => {
    plan = [{ code: status.UNAVAILABLE }]
    assert.equal((await say('hello', { 'grpc-previous-rpc-attempts': '2' })).code, status.OK)
    assert.deepEqual(
      tries.map(({ attempts }) => attempts),
      ['2', '3'],
    )
  })

  test('many at once', async () => {
    plan = Array.from({ length: 50 }, () => ({ code: status.UNAVAILABLE }))
    // Whoever meets the plan three times in a row fails; nobody gets the answer of another.
    const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => say(String(i))))
    answers.forEach(({ text, code }, i) => {
      if (code === status.OK) assert.equal(text, `you said ${i}`)
      else assert.equal(code, status.UNAVAILABLE)
    })
    const failed = answers.filter(({ code }) => code !== status.OK).length
    assert.ok(failed <= 50 / 3, `${failed} failed`)
    assert.equal(tries.length, 100 + 50 - failed)
  })
})

describe('streams', () => {
  test('of the client, with all its messages', async () => {
    plan = [{ code: status.UNAVAILABLE }]
    const text = await new Promise(resolve => {
      const call = client.join((_, reply) => resolve(reply?.text))
      for (const word of ['one', 'two', 'three']) call.write({ text: word })
      call.end()
    })
    assert.equal(text, 'one two three')
    assert.equal(tries.length, 2)
  })

  test('longer than what is kept: the client gets the status', async () => {
    plan = [{ code: status.UNAVAILABLE }]
    const error = await new Promise<ServiceError | null>(resolve => {
      const call = client.join(resolve)
      for (let i = 0; i < 20; i++) call.write({ text: 'x'.repeat(10_000) })
      call.end()
    })
    assert.equal(error?.code, status.UNAVAILABLE)
    assert.equal(tries.length, 1)
  })

  test('both ways, refused while the client still sends', async () => {
    plan = [{ code: status.UNAVAILABLE }, { code: status.UNAVAILABLE }]
    const call = client.chat()
    const texts: string[] = []
    call.on('data', ({ text }: Text) => {
      texts.push(text)
      if (texts.length < 3) call.write({ text: `more ${texts.length}` })
      else call.end()
    })
    const ended = new Promise<status>(resolve => {
      call.on('status', ({ code }: { code: status }) => resolve(code))
      call.on('error', () => {})
    })
    call.write({ text: 'first' })
    assert.equal(await ended, status.OK)
    assert.deepEqual(texts, ['FIRST', 'MORE 1', 'MORE 2'])
    assert.equal(tries.length, 3)
  })

  test('of the service that fail behind a message are not tried again', async () => {
    plan = [{ code: status.UNAVAILABLE }]
    const call = client.count({ text: 'x' })
    const texts: string[] = []
    call.on('data', ({ text }: Text) => texts.push(text))
    const code = await new Promise(resolve => call.on('error', ({ code: given }: ServiceError) => resolve(given)))
    assert.equal(code, status.UNAVAILABLE)
    assert.deepEqual(texts, ['1'])
    assert.equal(tries.length, 1)
  })
})

describe('pushback', () => {
  test('the next try comes after so long', async () => {
    plan = [{ code: status.UNAVAILABLE, metadata: { 'grpc-retry-pushback-ms': '400' } }]
    assert.equal((await say('hello')).code, status.OK)
    assert.equal(tries.length, 2)
    assert.ok(waitMs() >= 398, `${waitMs()} ms`)
  })

  for (const pushback of ['-1', 'never', '1001']) {
    test(`of ${pushback} forbids it`, async () => {
      plan = [{ code: status.UNAVAILABLE, metadata: { 'grpc-retry-pushback-ms': pushback } }]
      assert.equal((await say('hello')).code, status.UNAVAILABLE)
      assert.equal(tries.length, 1)
    })
  }
})

test('afterwards there is no call and no connection left', async () => {
  client.close()
  await program.untilQuiet()
})
