// What a store answers in trouble: each answer that is no count hands over to onFailure, never lets a call pass by accident, and is
// over by itself when the trouble is.

import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import test, { after, before, describe } from 'node:test'
import { Counting, ruleOf } from '../tools/counting.ts'
import { noServer, RedisServer } from '../tools/redis.ts'
import { until } from '../tools/until.ts'

interface Trouble {
  /** What the metric says; null where nothing fails. */
  readonly reason: string | null
  readonly make: (server: RedisServer) => Promise<unknown>
  readonly mend: (server: RedisServer) => Promise<unknown>
}

const endless = 'EVAL "while true do end" 0'

const troubles: Readonly<Record<string, Trouble>> = {
  'forgets its scripts': {
    reason: null,
    make: server => server.must('SCRIPT', 'FLUSH'),
    mend: async () => {},
  },
  'has no memory left': {
    reason: 'oom',
    make: server => server.must('CONFIG', 'SET', 'maxmemory', '1'),
    mend: server => server.must('CONFIG', 'SET', 'maxmemory', '0'),
  },
  'runs a script that does not end': {
    reason: 'busy',
    make: async server => {
      await server.must('CONFIG', 'SET', 'busy-reply-threshold', '20')
      // Its own answer comes when it is killed.
      void server.command(endless).catch(() => {})
      await pause(100)
    },
    mend: server => server.must('SCRIPT', 'KILL'),
  },
  'holds all commands back': {
    reason: 'timeout',
    make: server => server.must('CLIENT', 'PAUSE', '60000', 'WRITE'),
    mend: server => server.must('CLIENT', 'UNPAUSE'),
  },
  'lacks replicas': {
    reason: 'noreplicas',
    make: server => server.must('CONFIG', 'SET', 'min-replicas-to-write', '1'),
    mend: server => server.must('CONFIG', 'SET', 'min-replicas-to-write', '0'),
  },
  'became a replica': {
    reason: 'readonly',
    make: server => server.must('REPLICAOF', '127.0.0.1', '1'),
    mend: server => server.must('REPLICAOF', 'NO', 'ONE'),
  },
  'is a replica that lost its primary': {
    reason: 'masterdown',
    make: async server => {
      await server.must('CONFIG', 'SET', 'replica-serve-stale-data', 'no')
      await server.must('REPLICAOF', '127.0.0.1', '1')
    },
    mend: server => server.must('REPLICAOF', 'NO', 'ONE'),
  },
  'does not let it write': {
    reason: 'noperm',
    make: server => server.must('ACL', 'SETUSER', 'default', '-evalsha', '-eval'),
    mend: server => server.must('ACL', 'SETUSER', 'default', '+@all'),
  },
  'cuts all connections': {
    reason: 'unreachable',
    make: server => server.must('CLIENT', 'KILL', 'SKIPME', 'YES'),
    mend: async () => {},
  },
}

describe('a store in trouble', { skip: noServer }, () => {
  let server: RedisServer
  let counting: Counting
  before(async () => {
    server = await RedisServer.start()
    counting = await new Counting({ url: server.url, timeout: 400 }).ready()
  })
  after(async () => {
    counting.close()
    await server[Symbol.asyncDispose]()
  })

  for (const [title, { reason, make, mend }] of Object.entries(troubles)) {
    test(`a server that ${title}: ${reason ?? 'nobody notices'}`, async () => {
      const rules = [ruleOf('sliding-window', 1000)]
      const exact = counting.store({ scope: title })
      const leased = counting.store({ scope: title, mode: 'leased' })
      const open = counting.store({ scope: title, onFailure: 'open' })
      const calls = counting.permits({ scope: title })
      for (const store of [exact, leased, open]) assert.equal((await store.take('key', rules, 1)).fallback, null)
      assert.equal((await calls.take('key', 3)).fallback, null)
      const failed = counting.failures.get(reason ?? '') ?? 0
      await make(server)
      const during = []
      for (const store of [exact, leased, open]) {
        const { isAllowed, fallback } = await store.take('key', rules, 1)
        during.push(fallback, isAllowed)
      }
      const call = await calls.take('key', 3)
      // Connections that were cut may be there again.
      if (title !== 'cuts all connections') assert.equal(call.fallback, reason === null ? null : 'closed')
      if (reason === null) assert.deepEqual(during, [null, true, null, true, null, true])
      else {
        // Connections that were cut may be there again by the second call.
        assert.deepEqual(during.slice(0, 2), ['closed', false])
        if (title !== 'cuts all connections') assert.deepEqual(during, ['closed', false, 'closed', false, 'open', true])
        const seen = () => counting.failures.get(reason) ?? 0
        await until(
          () => seen() > failed,
          () => `a failure for ${reason}: ${JSON.stringify([...counting.failures])}`,
        )
      }
      await mend(server)
      await counting.ready()
      for (const store of [exact, leased, open]) assert.equal((await store.take('key', rules, 1)).fallback, null)
      // The first call is still under way, and so is that of the time of trouble where it was let in.
      const more = await Promise.all([calls.take('key', 3), calls.take('key', 3), calls.take('key', 3)])
      assert.equal(more.filter(({ isAllowed }) => isAllowed).length, call.isAllowed ? 1 : 2)
    })
  }

  test('the log says once what is wrong and once that it is over', async () => {
    await until(
      () => counting.said.at(-1)?.level === 'info',
      () => 'the log to say that the store counts again',
    )
    counting.said.length = 0
    await server.must('CONFIG', 'SET', 'min-replicas-to-write', '1')
    await until(
      () => !counting.link.isAlive,
      () => 'the failure to be noticed',
    )
    await pause(700)
    await server.must('CONFIG', 'SET', 'min-replicas-to-write', '0')
    await until(
      () => counting.said.at(-1)?.level === 'info',
      () => 'the log to say that the store counts again',
    )
    assert.deepEqual(
      counting.said.map(({ level, text }) => [level, text]),
      [
        ['warn', 'the store fails; its limits go by their onFailure'],
        ['info', 'the store counts again'],
      ],
    )
    assert.match(counting.said[0]?.reason ?? '', /^NOREPLICAS /)
  })
})

test('a server that loads its data is waited for, and then counts on with it', { skip: noServer }, async () => {
  await using server = await RedisServer.start(['--appendonly', 'yes', '--enable-debug-command', 'yes'])
  await using counting = await new Counting({ url: server.url, timeout: 400 }).ready()
  const rules = [ruleOf('period', 3)]
  const store = counting.store({})
  for (let call = 0; call < 2; call++) assert.equal((await store.take('key', rules, 1)).isAllowed, true)
  await server.must('DEBUG', 'POPULATE', '3000')
  await server.must('BGREWRITEAOF')
  await until(
    async () => /aof_rewrite_in_progress:0.*aof_rewrite_scheduled:0/s.test(await server.command('INFO', 'persistence')),
    () => 'the data to be on disk',
  )
  await server.kill()
  // About 1.5 seconds.
  await server.restart([
    ...['--appendonly', 'yes', '--key-load-delay', '500', '--loading-process-events-interval-bytes', '1024'],
  ])
  await until(
    () => counting.failures.has('loading'),
    () => `the store to be loading: ${JSON.stringify([...counting.failures])}`,
  )
  const outcome = await store.take('key', rules, 1)
  assert.deepEqual([outcome.isAllowed, outcome.fallback], [false, 'closed'])
  await counting.ready()
  assert.equal((await store.take('key', rules, 1)).isAllowed, true)
  const over = await store.take('key', rules, 1)
  assert.deepEqual([over.isAllowed, over.fallback], [false, null])
})

test('a node of a cluster is refused by name', { skip: noServer }, async () => {
  await using server = await RedisServer.start(['--cluster-enabled', 'yes'])
  await using counting = new Counting({ url: server.url, timeout: 400 })
  await until(
    () => (counting.failures.get('cluster') ?? 0) > 1,
    () => `the cluster to be noticed: ${JSON.stringify([...counting.failures])}`,
  )
  // Also one that has all keys.
  await server.must('CLUSTER', 'ADDSLOTSRANGE', '0', '16383')
  const before = counting.failures.get('cluster') ?? 0
  await until(
    () => (counting.failures.get('cluster') ?? 0) > before + 2,
    () => 'the cluster to be noticed again',
  )
  assert.deepEqual([...counting.failures.keys()], ['cluster'])
  assert.match(counting.said[0]?.reason ?? '', /belongs to a cluster, which limits cannot count in/)
  assert.equal((await counting.store({}).take('key', [ruleOf('gcra', 5)], 1)).fallback, 'closed')
})

test('after its data is gone, closed limits wait for their windows, and an operator may end the wait', {
  skip: noServer,
}, async () => {
  await using server = await RedisServer.start()
  await using counting = await new Counting({ url: server.url, timeout: 400 }).ready()
  const [long, short] = [[ruleOf('sliding-window', 5)], [ruleOf('sliding-window', 5, 1000)]]
  const closed = counting.store({ scope: 'closed' })
  const open = counting.store({ scope: 'open', onFailure: 'open' })
  assert.equal((await closed.take('key', long, 5)).isAllowed, true)
  await server.kill()
  await server.restart()
  await until(
    () => counting.link.lossMs > -Infinity,
    () => 'the loss to be noticed',
  )
  const outcome = await closed.take('key', long, 1)
  assert.deepEqual([outcome.isAllowed, outcome.fallback], [false, 'closed'])
  // An hour, and the part that the window is kept in.
  assert.ok((outcome.standings[0]?.retryMs ?? 0) > 3_900_000, JSON.stringify(outcome))
  assert.equal((await open.take('key', long, 1)).fallback, null)
  assert.ok(counting.said.some(({ text }) => text.startsWith('the store has lost its counts')))
  await until(
    async () => (await closed.take('key', short, 1)).fallback === null,
    () => 'the short window to be over',
  )
  // Another gateway learns of it from the store, though it never knew the lost data.
  await using other = await new Counting({ url: server.url, timeout: 400 }, 'b').ready()
  assert.equal((await other.store({ scope: 'closed' }).take('key', long, 1)).fallback, 'closed')
  await server.must('HDEL', 'test:store', 'lost')
  await until(
    async () => (await closed.take('key', long, 1)).fallback === null,
    () => 'the wait to be over',
  )
})

test('a server that drops keys when its memory is full is named in the log', { skip: noServer }, async () => {
  await using server = await RedisServer.start(['--maxmemory', '50mb', '--maxmemory-policy', 'allkeys-lru'])
  await using counting = await new Counting({ url: server.url, timeout: 400 }).ready()
  assert.match(counting.said[0]?.text ?? '', /set noeviction/)
})
