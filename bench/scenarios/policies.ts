// What do five policies around every call cost?

import { peers } from '../peers/all.ts'
import { nginx } from '../peers/nginx.ts'
import { callsScenario, plainShape, sameShape } from '../scenario.ts'

const baseline = { label: 'nginx without policies', peer: nginx, shape: plainShape, cores: '0' }

export const policies = callsScenario({
  name: 'policies',
  title: 'With five policies',
  note:
    'CORS, an address list, header edits, a body limit and a concurrency limit; the others by the directives that come ' +
    'nearest (Caddy has no concurrency limit). Ratios are to nginx without any.',
  load: { headers: { Origin: 'https://shop.example' } },
  candidates: [baseline, ...sameShape(peers, { hasPolicies: true })],
  baseline: baseline.label,
  goal: { ratioMax: 1.7 },
})
