// Every scenario, in the order of the report.

import type { Scenario } from '../scenario.ts'
import { cacheHits } from './cache-hits.ts'
import { grpc, http2 } from './http2.ts'
import { idleConnections } from './idle-connections.ts'
import { figures } from './figures.ts'
import { apiKeys, tokens } from './identity.ts'
import { largeReplies } from './large-replies.ts'
import { largeRequests } from './large-requests.ts'
import { manyRoutes } from './many-routes.ts'
import { plain } from './plain.ts'
import { policies } from './policies.ts'
import { resilience } from './resilience.ts'
import { tls } from './tls.ts'
import { twoWorkers } from './two-workers.ts'

export const scenarios: readonly Scenario[] = [
  plain,
  policies,
  cacheHits,
  resilience,
  apiKeys,
  tokens,
  tls,
  http2,
  grpc,
  largeReplies,
  largeRequests,
  manyRoutes,
  idleConnections,
  twoWorkers,
  ...figures,
]
