// Asks a target over HTTP how it is, by the same code and with the same settings as calls go to it.

import { Body } from '../../core/body.ts'
import { Call, type Peer } from '../../core/call.ts'
import { Failure } from '../../core/failure.ts'
import type { HealthBlueprint } from '../../core/health-schema.ts'
import { Headers } from '../../core/headers.ts'
import type { Ports, Timed } from '../../core/ports.ts'
import { type Endpoint, type EndpointAddress, hostFieldOf, sendOnce } from '../endpoint.ts'
import { type Check, findingOf } from './overseer.ts'

const peer: Peer = {
  ...{ address: '127.0.0.1', port: 0, local: { address: '127.0.0.1', port: 0 } },
  ...{ isTrusted: true, scheme: 'http', listener: '', certificate: null },
}

/** The endpoint belongs to the check. */
export function createHttpCheck(
  endpoint: Endpoint,
  address: EndpointAddress,
  health: HealthBlueprint,
  { clock, deadlines }: Pick<Ports, 'clock' | 'deadlines'>,
): Check {
  const fits = createStatusTest(health.statuses)
  return {
    async run() {
      const call = createCall(health, address, clock.now())
      const entry: Timed = {
        dueMs: clock.now() + health.timeout,
        slot: -1,
        due: () => call.abandon(new Failure('upstream-timeout', { detail: 'no answer in time' })),
      }
      deadlines.add(entry)
      try {
        // On a connection of its own: one that stands says nothing of whether the target still accepts others.
        const reply = await sendOnce(endpoint, call, true)
        reply.body.cancel()
        return { problem: fits(reply.status) ? null : `status ${reply.status}`, isOwnFault: false }
      } catch (thrown) {
        return findingOf(thrown)
      } finally {
        deadlines.remove(entry)
      }
    },
    close: () => endpoint.close(),
  }
}

function createCall(
  { method, path, host, headers }: HealthBlueprint,
  address: EndpointAddress,
  startedMs: number,
): Call {
  const fields = new Headers()
  fields.add('host', host ?? hostFieldOf(address))
  fields.add('user-agent', 'turnpike-health-check')
  for (const [name, value] of Object.entries(headers)) fields.set(name, value)
  const question = path.indexOf('?')
  const query = question < 0 ? '' : path.slice(question)
  const bare = question < 0 ? path : path.slice(0, question)
  return new Call({
    ...{ method, target: path, path: bare, query, host: address.hostname, headers: fields, body: Body.empty },
    ...{ peer, startedMs },
  })
}

/** From `200` and `2xx` to a test of statuses. */
export function createStatusTest(statuses: readonly string[]): (status: number) => boolean {
  const good = new Set(statuses)
  return status => good.has(String(status)) || good.has(`${Math.floor(status / 100)}xx`)
}
