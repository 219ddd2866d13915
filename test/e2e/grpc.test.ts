// gRPC through the gateway, with grpc-js at both ends: all kinds of calls, deadlines, cancellation, and failures as statuses.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, describe, test } from 'node:test'
import { readFile } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
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
import { selfSigned } from '../../examples/tls/certificate.ts'
import { talk, type Text } from '../../examples/grpc/talk.ts'
import { refusingPort } from '../tools/free-port.ts'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'

const own = selfSigned(['localhost'])

/** What the service saw: the deadlines of `say` in milliseconds, and how many calls were cancelled and begun. */
let deadlines: number[] = []
let cancelled = 0
let seen = 0

const service = {
  say(call: ServerUnaryCall<Text, Text>, answer: sendUnaryData<Text>) {
    seen++
    const deadline = call.getDeadline()
    deadlines.push((deadline instanceof Date ? deadline.getTime() : deadline) - Date.now())
    call.on('cancelled', () => cancelled++)
    const { text } = call.request
    if (text === 'never') return
    if (text === 'fail') {
      const metadata = new Metadata()
      metadata.set('x-detail', 'seven')
      return answer({ code: status.FAILED_PRECONDITION, details: 'not like this: 100 % ü', metadata })
    }
    const trailers = new Metadata()
    trailers.set('x-trailer', 'behind')
    answer(null, { text: text.length > 100 ? text : `you said ${text}` }, trailers)
  },
  count(call: ServerWritableStream<Text, Text>) {
    call.on('cancelled', () => cancelled++)
    const most = call.request.text === 'endless' ? Infinity : Number(call.request.text)
    let sent = 0
    const writeOn = () => {
      let hasRoom = true
      while (hasRoom && sent < most && !call.cancelled) hasRoom = call.write({ text: String(++sent) })
      if (sent >= most) call.end()
      else call.once('drain', writeOn)
    }
    writeOn()
  },
  join(call: ServerReadableStream<Text, Text>, answer: sendUnaryData<Text>) {
    const words: string[] = []
    call.on('data', ({ text }: Text) => words.push(text))
    call.on('end', () => answer(null, { text: words.join(' ') }))
  },
  chat(call: ServerDuplexStream<Text, Text>) {
    call.on('cancelled', () => cancelled++)
    call.on('data', ({ text }: Text) => {
      if (text === 'break') call.emit('error', { code: status.ABORTED, details: 'enough' })
      else call.write({ text: text.toUpperCase() })
    })
    call.on('end', () => call.end())
  },
}

type Answered = (error: ServiceError | null, reply?: Text) => void
interface Talk extends Client {
  say(text: Text, metadata: Metadata, options: object, then: Answered): ClientReadableStream<Text>
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
  const nobody = await refusingPort()
  program = await Program.start(
    {
      workers: 1,
      admin: { port: 0 },
      data: 'state',
      telemetry: { accessLog: '{folder}/access.log' },
      listeners: [
        { name: 'plain', port: 0, host: '127.0.0.1', timeouts: { body: '1s' } },
        { name: 'secure', port: 0, host: '127.0.0.1', tls: { certificates: [{ cert: 'own.pem', key: 'own.key' }] } },
      ],
      upstreams: {
        talk: { protocol: 'http2', targets: [`http://127.0.0.1:${port}`] },
        nobody: { protocol: 'http2', targets: [`http://127.0.0.1:${nobody}`] },
      },
      routes: [
        route('closed.test', [{ 'api-key': {} }]),
        route('limited.test', [{ 'rate-limit': { limit: '1/hour', by: 'client' } }]),
        route('timed.test', [{ timeout: '1s' }]),
        route('nobody.test', [], 'nobody'),
        { match: { path: '/talk.Talk/**' }, forward: 'talk' },
      ],
    },
    { 'own.pem': own.cert, 'own.key': own.key },
  )
  client = connect()
})
after(async () => {
  client.close()
  server.forceShutdown()
  await program[Symbol.asyncDispose]()
})

/** A route for calls that are addressed to this host. */
const route = (host: string, policies: object[], forward = 'talk') => ({
  match: { hosts: [host] },
  policies,
  forward,
})

/** `authority` is what the call is addressed to. */
function connect(authority = 'localhost', index = 0): Talk {
  const security = index === 0 ? credentials.createInsecure() : credentials.createSsl(Buffer.from(own.cert))
  // The border: what the file defines.
  return new TalkClient(`127.0.0.1:${program.portOf(index)}`, security, {
    'grpc.default_authority': authority,
    'grpc.ssl_target_name_override': 'localhost',
  }) as unknown as Talk
}

interface Said {
  readonly text: string
  readonly error: ServiceError | null
  readonly trailers: Metadata | null
}

function say(text: string, to: Talk = client, options: object = {}): Promise<Said> {
  return new Promise(resolve => {
    let trailers: Metadata | null = null
    const call = to.say({ text }, new Metadata(), options, (error, reply) =>
      setImmediate(() => resolve({ text: reply?.text ?? '', error, trailers })),
    )
    call.on('status', ({ metadata }: { metadata: Metadata }) => {
      trailers = metadata
    })
  })
}

async function failureAt(authority: string, options: object = {}): Promise<ServiceError | null> {
  const other = connect(authority)
  const { error } = await say('hello', other, options)
  other.close()
  return error
}

describe('the four kinds of calls', () => {
  test('one message, one answer, with trailers; plain and over TLS', async () => {
    const secure = connect('localhost', 1)
    for (const to of [client, secure]) {
      const { text, trailers } = await say('hello', to)
      assert.equal(text, 'you said hello')
      assert.deepEqual(trailers?.get('x-trailer'), ['behind'])
    }
    secure.close()
  })

  test('a message of three megabytes', async () => {
    const text = 'long '.repeat(600_000)
    assert.equal((await say(text)).text, text)
  })

  test('one message, many answers', async () => {
    const call = client.count({ text: '2000' })
    const texts: string[] = []
    for await (const { text } of call as AsyncIterable<Text>) texts.push(text)
    assert.equal(texts.length, 2000)
    assert.equal(texts.at(-1), '2000')
  })

  test('many messages, one answer', async () => {
    const text = await new Promise(resolve => {
      const call = client.join((_, reply) => resolve(reply?.text))
      for (const word of ['one', 'two', 'three']) call.write({ text: word })
      call.end()
    })
    assert.equal(text, 'one two three')
  })

  test('messages both ways, each answered before the next is sent, and a pause longer than a body may take', async () => {
    const call = client.chat()
    for (const word of ['one', 'two']) {
      call.write({ text: word })
      const [{ text }] = await once(call, 'data')
      assert.equal(text, word.toUpperCase())
    }
    await pause(1_500)
    call.write({ text: 'three' })
    assert.equal((await once(call, 'data'))[0].text, 'THREE')
    call.end()
    call.resume()
    await once(call, 'end')
  })

  test('many at once', async () => {
    const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => say(String(i))))
    answers.forEach(({ text }, i) => assert.equal(text, `you said ${i}`))
  })
})

describe('statuses', () => {
  test('those of the service pass, with message and metadata', async () => {
    const { error } = await say('fail')
    assert.equal(error?.code, status.FAILED_PRECONDITION)
    assert.equal(error.details, 'not like this: 100 % ü')
    assert.deepEqual(error.metadata.get('x-detail'), ['seven'])
  })

  test('also behind messages', async () => {
    const call = client.chat()
    call.write({ text: 'one' })
    await once(call, 'data')
    call.write({ text: 'break' })
    const [error] = await once(call, 'error')
    assert.equal(error.code, status.ABORTED)
  })

  test('a policy that refuses', async () => {
    const error = await failureAt('closed.test')
    assert.equal(error?.code, status.UNAUTHENTICATED)
    assert.equal(error.details, 'The call is not authenticated.')
    assert.equal(await failureAt('limited.test'), null)
    assert.equal((await failureAt('limited.test'))?.code, status.RESOURCE_EXHAUSTED)
  })

  test('an upstream that is not there', async () => {
    assert.equal((await failureAt('nobody.test'))?.code, status.UNAVAILABLE)
  })

  test('a method that no route has', async () => {
    const Other = makeClientConstructor({ say: { ...talk['Say'], path: '/other.Service/Say' } } as never, 'Other')
    const other = new Other(`127.0.0.1:${program.port}`, credentials.createInsecure()) as unknown as Talk
    const { error } = await say('hello', other)
    assert.equal(error?.code, status.UNIMPLEMENTED)
    other.close()
  })
})

describe('deadlines', () => {
  test('of the client reach the service, shortened by what has passed', async () => {
    deadlines = []
    await say('hello', client, { deadline: Date.now() + 5_000 })
    const [left = 0] = deadlines
    assert.ok(left > 0 && left <= 5_000, `${left} ms`)
  })

  test('of the gateway reach the service, too', async () => {
    deadlines = []
    assert.equal(await failureAt('timed.test'), null)
    const [left = 0] = deadlines
    assert.ok(left > 0 && left <= 1_000, `${left} ms`)
  })

  test('are kept by the gateway where the service does not', async () => {
    const timed = connect('timed.test')
    const { error } = await say('never', timed)
    assert.equal(error?.code, status.DEADLINE_EXCEEDED)
    timed.close()
  })

  test('past one the service is told that nobody waits', async () => {
    const before = cancelled
    const { error } = await say('never', client, { deadline: Date.now() + 300 })
    assert.equal(error?.code, status.DEADLINE_EXCEEDED)
    await until(
      () => cancelled > before,
      () => 'the service to be told',
    )
  })
})

/** How many calls ended so. */
function told(code: string): Promise<number> {
  return program.total('turnpike_grpc_calls_total', { rpc_grpc_status_code: code })
}

test('what clients were told stands in the access log and in the metrics', async () => {
  const codes = ['0', '9', '16', '14']
  const before = await Promise.all(codes.map(told))
  await say('hello')
  await say('fail')
  await failureAt('closed.test')
  await failureAt('nobody.test')
  for (const [i, code] of codes.entries()) {
    await program.untilTotal('turnpike_grpc_calls_total', { rpc_grpc_status_code: code }, (before[i] ?? 0) + 1)
  }
  let last = ''
  await until(
    async () => {
      const lines = (await readFile(program.file('access.log'), 'utf8')).split('\n').slice(0, -1)
      const logged = lines.flatMap(line => (JSON.parse(line) as { grpcStatus?: number }).grpcStatus ?? [])
      last = String(logged.slice(-codes.length))
      return last === String(codes)
    },
    () => `${String(codes)} in the log, not ${last}`,
  )
})

describe('cancellation', () => {
  test('of the client reaches the service, before an answer and in the middle of a stream', async () => {
    const before = cancelled
    const seenBefore = seen
    const call = client.say({ text: 'never' }, new Metadata(), {}, () => {})
    await until(
      () => seen > seenBefore,
      () => 'the call to arrive',
    )
    call.cancel()
    await until(
      () => cancelled === before + 1,
      () => 'the service to be told',
    )

    const stream = client.count({ text: 'endless' })
    stream.on('error', () => {})
    await once(stream, 'data')
    stream.cancel()
    await until(
      () => cancelled === before + 2,
      () => 'the service to be told again',
    )
  })

  test('of the service reaches the client', async () => {
    const call = client.chat()
    call.write({ text: 'one' })
    await once(call, 'data')
    const failed = once(call, 'error')
    server.forceShutdown()
    const [error] = (await failed) as [ServiceError]
    assert.ok(
      [status.UNAVAILABLE, status.INTERNAL, status.CANCELLED].includes(error.code),
      `${error.code} ${error.details}`,
    )
  })
})

test('afterwards there is no call and no connection left', async () => {
  client.close()
  await program.untilQuiet()
})
