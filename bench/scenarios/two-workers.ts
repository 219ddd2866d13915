// Does a second worker bring what a second core can give?

import { nginx } from '../peers/nginx.ts'
import { turnpike } from '../peers/turnpike.ts'
import { callsScenario, plainShape } from '../scenario.ts'

const both = { ...plainShape, workers: 2 }

export const twoWorkers = callsScenario({
  name: 'two-workers',
  title: 'Two workers against one',
  note:
    'Plain proxying on cores 0 and 1, with client and upstream on the same two cores: on a machine with two cores a second ' +
    'worker competes with them, so calls/s grow by less than twice. CPU per call shows what sharing costs.',
  loadCores: '0,1',
  load: { threads: 2 },
  candidates: [
    { label: 'nginx, 1 worker', peer: nginx, shape: plainShape, cores: '0,1' },
    { label: 'nginx, 2 workers', peer: nginx, shape: both, cores: '0,1' },
    { label: 'Turnpike, 1 worker', peer: turnpike, shape: plainShape, cores: '0,1' },
    { label: 'Turnpike, 2 workers', peer: turnpike, shape: both, cores: '0,1' },
  ],
  baseline: 'nginx, 1 worker',
})
