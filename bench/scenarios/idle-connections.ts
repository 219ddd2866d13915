// How much memory does an open connection take while nothing happens on it?

import { peers } from '../peers/all.ts'
import { callsScenario, sameShape } from '../scenario.ts'

export const idleConnections = callsScenario({
  name: 'idle-connections',
  title: '10,000 idle connections',
  note: 'Growth of resident memory when 10,000 clients have made one call each and stay connected.',
  kind: 'idle',
  load: { connections: 10_000 },
  candidates: sameShape(peers, {}),
  goal: { bytesMax: 6000 },
})
