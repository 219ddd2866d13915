// What the adaptive limit does for a service that gets more calls than it can work on. Run: node bench/adaptive.ts
//
// The service, a process of its own, handles four calls at once in 20 ms each, 200 calls a second, and lets the others stand in a
// line. Clients without pause have 300 ms for each call. What counts is how many calls a second are answered in that time.

import { ChildServer, drowning } from '../test/tools/child-server.ts'
import { flood, quantile } from '../test/tools/flood.ts'
import { Program } from '../test/tools/program.ts'

const ms = 8_000
const kinds = { without: {}, 'with `adaptive`': { adaptive: {} } }

console.log('| clients | limit | answered per second | p50 | p99 | turned away | in vain |')
console.log('|---:|---|---:|---:|---:|---:|---:|')
for (const clients of [4, 40, 80, 160]) {
  for (const [name, changes] of Object.entries(kinds)) {
    await using service = await ChildServer.start(drowning)
    await using program = await Program.start({
      workers: 2,
      upstreams: { a: { targets: [service.url], timeouts: { call: '300ms' }, ...changes } },
      routes: [{ match: {}, forward: 'a' }],
    })
    await flood(program.port, '/', clients, 2_000)
    const { byOutcome, goodMs } = await flood(program.port, '/', clients, ms)
    const figures = [
      ((goodMs.length * 1000) / ms).toFixed(0),
      ...[0.5, 0.99].map(share => (goodMs.length === 0 ? '–' : `${quantile(goodMs, share).toFixed(0)} ms`)),
      byOutcome['upstream-overloaded'] ?? 0,
      byOutcome['call-timeout'] ?? 0,
    ]
    console.log(`| ${clients} | ${name} | ${figures.join(' | ')} |`)
  }
}
