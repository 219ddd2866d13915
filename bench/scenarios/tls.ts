// What does TLS towards the client cost?

import { peers } from '../peers/all.ts'
import { callsScenario, sameShape } from '../scenario.ts'

export const tls = callsScenario({
  name: 'tls',
  title: 'Over TLS',
  note: 'As plain proxying, but the client speaks TLS 1.3; handshakes are few because connections are kept.',
  candidates: sameShape(peers, { hasTls: true }),
  goal: { ratioMax: 1.8 },
})
