// What does it cost to pass a small call on?

import { peers } from '../peers/all.ts'
import { callsScenario, sameShape } from '../scenario.ts'

export const plain = callsScenario({
  name: 'plain',
  title: 'Plain proxying',
  note: 'Replies of 1 kB JSON over 64 keep-alive connections.',
  candidates: sameShape(peers, {}),
  goal: { ratioMax: 1.5 },
})
