// What an upstream does when its servers fail, slow down or lag: breaker, adaptive limit, hedging.

import { Duration, Fields, Maybe, Percent, Shorthand, Type } from './schema.ts'

export const breakerSchema = Fields(
  {
    failures: Percent({
      default: '50%',
      description: 'Opens when so many of the calls in the window failed: 5xx replies, broken connections, timeouts.',
    }),
    slow: Maybe(
      Fields(
        {
          share: Percent({ default: '80%', description: 'Opens when so many of the calls in the window were slow.' }),
          over: Duration({ minimum: 1, description: 'From when on a call is slow, until the head of its reply.' }),
        },
        { description: 'Opens for slow calls too.' },
      ),
    ),
    window: Duration({ minimum: 1000, default: '10s', description: 'How far back calls are counted.' }),
    minimum: Type.Integer({ minimum: 1, default: 20, description: 'Calls in the window before it can open.' }),
    open: Duration({
      minimum: 100,
      default: '5s',
      description: 'How long calls are refused before some are let through.',
    }),
    probes: Type.Integer({
      minimum: 1,
      maximum: 1000,
      default: 3,
      description: 'Calls that are let through then; it closes when all went well, and opens again when one did not.',
    }),
  },
  {
    description:
      'Refuses calls at once while the upstream fails, counted over all workers; no breaker where it is not written.',
  },
)

export const adaptiveSchema = Fields(
  {
    min: Type.Integer({
      minimum: 1,
      default: 4,
      description: 'Calls at once that are always let through; also while latency is measured.',
    }),
    max: Type.Integer({ minimum: 1, default: 1000, description: 'The limit never grows beyond.' }),
    tolerance: Percent({
      default: '25%',
      description: 'How much latency may grow over the lowest before the limit shrinks.',
    }),
    measure: Duration({
      minimum: 1000,
      default: '1m',
      description: 'How often the lowest latency is measured anew, with `min` calls at once.',
    }),
  },
  {
    description:
      'Bounds the calls at once, over all workers together, by how latency follows them; no such limit where it is not written.',
  },
)

export const hedgeSchema = Shorthand(
  'after',
  Fields(
    {
      after: Maybe(
        Duration({
          minimum: 1,
          description: 'How long to wait for a reply; with `percentile` the least, and until enough is known.',
        }),
      ),
      percentile: Maybe(
        Percent({ description: 'How long to wait: until so many of the last calls had their reply, such as `95%`.' }),
      ),
    },
    {
      description:
        'Sends a call that is safe to repeat once more, to another target, when its reply is late; the first good answer counts. Takes from the budget of `retry`.',
    },
  ),
)
