// What a limit in a Valkey or Redis server costs: calls per second and CPU of this thread per call, exact and leased.

import { StoreLink } from '../../src/stores/valkey/link.ts'
import { createValkeyLimits } from '../../src/stores/valkey/valkey-limits.ts'
import { RedisServer } from '../../test/tools/redis.ts'

const none = () => {}
await using server = await RedisServer.start()
const definition = {
  ...{ url: server.url, sentinels: [], master: null, username: null, password: null, ca: null },
  ...{ timeout: 1000, keyPrefix: 'bench:' },
}
const log = { debug: none, info: none, warn: none, error: none }
const link = new StoreLink({ name: 'bench', definition, ca: null, gatewayId: 'bench', log })
while (!link.isAlive) await new Promise(resolve => setTimeout(resolve, 20))
const meter = { counter: () => ({ add: none }), gauge: () => ({ set: none }), histogram: () => ({ record: none }) }
const clock = { now: () => performance.now(), wall: () => Date.now() }
const local = () => {
  throw new Error('the store failed')
}
const rules = [{ algorithm: 'gcra', limit: 1e6, windowMs: 1000, burst: 1e6, startMs: 0 } as const]
for (const mode of ['exact', 'leased'] as const) {
  const options = { scope: mode, store: 'bench', mode, onFailure: 'closed', isDurable: false, name: mode } as const
  const store = createValkeyLimits(options, { link, clock, meter, local })
  let calls = 0
  const untilMs = performance.now() + 2000
  const cpu = process.cpuUsage()
  const one = async () => {
    while (performance.now() < untilMs) {
      await store.take('key', rules, 1)
      if (++calls % 1000 === 0) await new Promise(resolve => setImmediate(resolve))
    }
  }
  await Promise.all(Array.from({ length: 64 }, one))
  const { user, system } = process.cpuUsage(cpu)
  console.log(`${mode}: ${Math.round(calls / 2)} calls/s, ${((user + system) / calls).toFixed(2)} µs CPU per call`)
}
link.close()
