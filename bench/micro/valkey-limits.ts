// What a limit in a Valkey or Redis server costs: calls per second and CPU of this thread per call, exact and leased.

import { Counting } from '../../test/tools/counting.ts'
import { RedisServer } from '../../test/tools/redis.ts'

await using server = await RedisServer.start()
await using counting = await new Counting({ url: server.url, timeout: 1000 }, 'bench').ready()
const rules = [{ algorithm: 'gcra', limit: 1e6, windowMs: 1000, burst: 1e6, startMs: 0 } as const]
for (const mode of ['exact', 'leased'] as const) {
  const store = counting.store({ scope: mode, mode })
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
