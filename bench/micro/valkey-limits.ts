// What a limit in a Valkey or Redis server costs: calls per second and CPU of this thread per call, exact and leased; of a rate, and of
// calls at once.

import { Counting } from '../../test/tools/counting.ts'
import { RedisServer } from '../../test/tools/redis.ts'

await using server = await RedisServer.start()
await using counting = await new Counting({ url: server.url, timeout: 1000 }, 'bench').ready()
const rules = [{ algorithm: 'gcra', limit: 1e6, windowMs: 1000, burst: 1e6, startMs: 0 } as const]
const secondsOf = 2

/** Takes again and again, 64 at a time. */
async function measure(title: string, take: () => unknown): Promise<void> {
  let calls = 0
  const untilMs = performance.now() + secondsOf * 1000
  const cpu = process.cpuUsage()
  const one = async () => {
    while (performance.now() < untilMs) {
      await take()
      if (++calls % 1000 === 0) await new Promise(resolve => setImmediate(resolve))
    }
  }
  await Promise.all(Array.from({ length: 64 }, one))
  const { user, system } = process.cpuUsage(cpu)
  const rate = Math.round(calls / secondsOf)
  console.log(`${title}: ${rate} calls/s, ${((user + system) / calls).toFixed(2)} µs CPU per call`)
}

for (const mode of ['exact', 'leased'] as const) {
  const store = counting.store({ scope: mode, mode })
  await measure(mode, () => store.take('key', rules, 1))
}
for (const mode of ['exact', 'leased'] as const) {
  const permits = counting.permits({ scope: mode, mode })
  await measure(`calls at once, ${mode}`, async () => (await permits.take('key', 1000)).give())
}
