// What does a reply from the cache cost?

import { nginx } from '../peers/nginx.ts'
import { turnpike } from '../peers/turnpike.ts'
import { callsScenario, plainShape, sameShape } from '../scenario.ts'

export const cacheHits = callsScenario({
  name: 'cache-hits',
  title: 'Cache hits',
  note:
    'The same 1 kB from the cache; nginx sends it from a file that the system has in memory, Turnpike from its own. ' +
    'The last row is Turnpike passing the same call on.',
  candidates: [
    ...sameShape([nginx, turnpike], { isCaching: true }),
    { label: 'Turnpike without a cache', peer: turnpike, shape: plainShape, cores: '0' },
  ],
  goal: { ratioMax: 1.5 },
})
