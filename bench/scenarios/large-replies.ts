// What does a large reply cost?

import { peers } from '../peers/all.ts'
import { callsScenario, sameShape } from '../scenario.ts'

export const largeReplies = callsScenario({
  name: 'large-replies',
  title: '100 kB replies',
  note: 'Replies of 100 kB over 64 keep-alive connections.',
  load: { path: '/large' },
  candidates: sameShape(peers, {}),
})
