// The one list of the policies and ends of a route that ship.

import type { EndDefinition, PolicyDefinition } from './core/policy.ts'
import { forward } from './ends/forward.ts'
import { redirect } from './ends/redirect.ts'
import { reply } from './ends/reply.ts'
import { bodyLimit } from './policies/body-limit/body-limit.ts'
import { clientCertificate } from './policies/client-certificate/client-certificate.ts'
import { concurrency } from './policies/concurrency/concurrency.ts'
import { cors } from './policies/cors/cors.ts'
import { csrf } from './policies/csrf/csrf.ts'
import { headers } from './policies/headers/headers.ts'
import { ip } from './policies/ip/ip.ts'
import { quota } from './policies/quota/quota.ts'
import { rateLimit } from './policies/rate-limit/rate-limit.ts'
import { securityHeaders } from './policies/security-headers/security-headers.ts'
import { timeout } from './policies/timeout/timeout.ts'

export const policies: readonly PolicyDefinition[] = [
  bodyLimit,
  clientCertificate,
  concurrency,
  cors,
  csrf,
  headers,
  ip,
  quota,
  rateLimit,
  securityHeaders,
  timeout,
]

export const ends: readonly EndDefinition[] = [forward, redirect, reply]

/** Everything that a config file may name. */
export const language = { policies, ends }
