// What does it cost to keep sick upstreams from doing harm, while none is sick?

import { turnpike } from '../peers/turnpike.ts'
import { callsScenario, plainShape } from '../scenario.ts'

const baseline = 'Turnpike without'

export const resilience = callsScenario({
  name: 'resilience',
  title: 'Everything against sick upstreams',
  note:
    'Plain proxying with health checks, ejection by failures and by success rate, slow start, retries, a breaker, an adaptive limit, ' +
    'hedging by percentile and a deadline header, all at once.',
  candidates: [
    { label: baseline, peer: turnpike, shape: plainShape, cores: '0' },
    { label: 'Turnpike', peer: turnpike, shape: { ...plainShape, isResilient: true }, cores: '0' },
  ],
  baseline,
  goal: { moreMicrosMax: 1 },
})
