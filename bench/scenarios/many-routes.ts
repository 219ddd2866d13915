// Does a call get dearer when there are ten thousand routes?

import { peers } from '../peers/all.ts'
import { callsScenario, sameShape } from '../scenario.ts'

export const manyRoutes = callsScenario({
  name: 'many-routes',
  title: '10,000 routes',
  note: 'As plain proxying, the calls scattered over 10,000 path prefixes.',
  load: { path: '/r{n}/items/1', variants: 10_000 },
  candidates: sameShape(peers, { routes: 10_000 }),
})
