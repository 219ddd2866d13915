// Limits with a store over HTTP/2: the streams of one connection at once get exactly the limit, also over two gateways.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { BothVersions } from '../tools/both-versions.ts'
import { Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'
import { noServer, RedisServer } from '../tools/redis.ts'
import { Room } from '../tools/room.ts'
import { until } from '../tools/until.ts'

const modes = ['exact', 'leased'] as const
const streams = 64
const limit = 20

describe('two gateways with one store', { skip: noServer }, () => {
  const room = new Room()
  let server: RedisServer
  let origin: Origin
  let programs: Program[]
  let clients: BothVersions[]

  before(async () => {
    server = await RedisServer.start()
    origin = await Origin.start(({ url = '', headers }, response) => {
      if (url.startsWith('/concurrency')) room.enter(String(headers['x-round']), response)
      else response.end('done')
    })
    const policies = (mode: (typeof modes)[number]): Readonly<Record<string, object>> => {
      const options = { by: { header: 'x-round' }, store: 'shared', mode, onFailure: 'closed' }
      return {
        window: { 'rate-limit': { limit: `${limit}/1000h`, ...options } },
        bucket: { 'rate-limit': { limit: `${limit}/1000h`, algorithm: 'gcra', ...options } },
        quota: { quota: { limit: `${limit}/month`, ...options } },
        concurrency: { concurrency: { limit, ...options } },
      }
    }
    const routes = modes.flatMap(mode =>
      Object.entries(policies(mode)).map(([name, policy]) => ({
        name: `${name}-${mode}`,
        match: { path: `/${name}/${mode}` },
        policies: [policy],
        forward: 'origin',
      })),
    )
    const stores = { shared: { url: server.url, timeout: '5s' } }
    const config = { workers: 2, stores, upstreams: { origin: { targets: [origin.url] } }, routes }
    programs = await Promise.all([Program.start(config), Program.start(config)])
    for (const program of programs) await program.untilTotal('turnpike_store_alive', { store: 'shared' }, 2)
    clients = await Promise.all(programs.map(({ port }) => BothVersions.connect(port)))
  })
  after(async () => {
    for (const client of clients) client[Symbol.dispose]()
    await Promise.all(programs.map(program => program.stop()))
    await origin[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
  })

  /** Statuses of as many calls on each connection. */
  const rush = (path: string, round: string) =>
    clients.flatMap(client =>
      Array.from({ length: streams / clients.length }, async () => {
        return (await client.overHttp2({ path, headers: { 'x-round': round } })).status
      }),
    )

  for (const mode of modes) {
    for (const name of ['window', 'bucket', 'quota']) {
      test(`${name}, ${mode}: exactly the limit passes, in each of ten rounds`, async () => {
        for (let round = 0; round < 10; round++) {
          // Blocks that one worker has taken in advance are of no use to the others: those are asked until the limit is used up.
          const statuses: number[] = []
          for (let turn = 0; turn < (mode === 'exact' ? 1 : 4); turn++) {
            statuses.push(...(await Promise.all(rush(`/${name}/${mode}`, `${name} ${round}`))))
          }
          const passed = statuses.filter(status => status === 200).length
          assert.equal(passed, limit, `round ${round}`)
          assert.equal(statuses.filter(status => status === 429).length, statuses.length - limit)
        }
      })
    }

    test(`concurrency, ${mode}: exactly the limit is inside, in each of ten rounds`, async () => {
      for (let round = 0; round < 10; round++) {
        const inside = `${mode} ${round}`
        let refused = 0
        const all = rush(`/concurrency/${mode}`, inside).map(async asked => {
          const status = await asked
          if (status === 503) refused++
          return status
        })
        const settled = () => `${room.count(inside)} inside and ${refused} refused of ${streams}`
        await until(() => room.count(inside) + refused === streams, settled)
        assert.equal(room.count(inside), limit, `round ${round}`)
        room.release(inside)
        assert.equal((await Promise.all(all)).filter(status => status === 200).length, limit)
      }
    })
  }
})
