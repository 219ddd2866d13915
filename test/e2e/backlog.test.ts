// Replies that pile up at a client which pipelines requests and reads nothing.
//
// Runs alone: it measures time.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import { test } from 'node:test'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'

test('a client that reads no replies gets no more calls answered, and what it asked for when it reads on', async () => {
  const routes = [{ match: { path: '/**' }, reply: { status: 200, body: 'x'.repeat(1000) } }]
  await using program = await Program.start({ routes })
  const socket = net.connect(program.port, '127.0.0.1').on('error', () => {})
  await once(socket, 'connect')
  socket.pause()
  const count = 100_000
  socket.write('GET / HTTP/1.1\r\nHost: a.test\r\n\r\n'.repeat(count))
  const answered = () => program.total('http_server_request_duration_seconds_count')
  let last = -1
  let sinceMs = performance.now()
  await until(
    async () => {
      const now = await answered()
      if (now !== last) sinceMs = performance.now()
      last = now
      return now > 0 && performance.now() - sinceMs > 500
    },
    () => 'the calls to stand still',
  )
  assert.ok(last < count / 2, `${last} of ${count} calls were answered to nobody`)
  socket.resume()
  await program.untilTotal('http_server_request_duration_seconds_count', {}, count, 60_000)
  socket.destroy()
})
