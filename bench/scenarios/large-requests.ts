// What does a large request body cost?

import { peers } from '../peers/all.ts'
import { callsScenario, sameShape } from '../scenario.ts'

export const largeRequests = callsScenario({
  name: 'large-requests',
  title: '100 kB request bodies',
  note: 'POST with 100 kB to an upstream that reads the body and answers 3 bytes. nginx streams it, as the others do.',
  load: { path: '/sink', bodyBytes: 100_000 },
  upstream: 'sink',
  candidates: sameShape(peers, {}),
})
