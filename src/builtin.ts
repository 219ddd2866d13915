// The one list of the policies and ends of a route that ship.

import type { EndDefinition, PolicyDefinition } from './core/policy.ts'
import { forward } from './ends/forward/forward.ts'
import { redirect } from './ends/redirect.ts'
import { reply } from './ends/reply.ts'
import { acl } from './policies/acl/acl.ts'
import { allOf } from './policies/all-of/all-of.ts'
import { anonymous } from './policies/anonymous/anonymous.ts'
import { anyOf } from './policies/any-of/any-of.ts'
import { apiKey } from './policies/api-key/api-key.ts'
import { basic } from './policies/basic/basic.ts'
import { bodyGuard } from './policies/body-guard/body-guard.ts'
import { bodyLimit } from './policies/body-limit/body-limit.ts'
import { bot } from './policies/bot/bot.ts'
import { buffer } from './policies/buffer/buffer.ts'
import { cache } from './policies/cache/cache.ts'
import { clientCertificate } from './policies/client-certificate/client-certificate.ts'
import { compress } from './policies/compress/compress.ts'
import { concurrency } from './policies/concurrency/concurrency.ts'
import { cors } from './policies/cors/cors.ts'
import { csrf } from './policies/csrf/csrf.ts'
import { deny } from './policies/deny/deny.ts'
import { expression } from './policies/expression/expression.ts'
import { external } from './policies/external/external.ts'
import { grpcWeb } from './policies/grpc-web/grpc-web.ts'
import { headers } from './policies/headers/headers.ts'
import { hmac } from './policies/hmac/hmac.ts'
import { introspection } from './policies/introspection/introspection.ts'
import { ip } from './policies/ip/ip.ts'
import { oidc } from './policies/oidc/oidc.ts'
import { quota } from './policies/quota/quota.ts'
import { rateLimit } from './policies/rate-limit/rate-limit.ts'
import { securityHeaders } from './policies/security-headers/security-headers.ts'
import { jwt } from './policies/jwt/jwt.ts'
import { throttle } from './policies/throttle/throttle.ts'
import { timeout } from './policies/timeout/timeout.ts'
import { validate } from './policies/validate/validate.ts'

export const policies: readonly PolicyDefinition[] = [
  acl,
  allOf,
  anonymous,
  anyOf,
  apiKey,
  basic,
  bodyGuard,
  bodyLimit,
  bot,
  buffer,
  cache,
  clientCertificate,
  compress,
  concurrency,
  cors,
  csrf,
  deny,
  expression,
  external,
  grpcWeb,
  headers,
  hmac,
  introspection,
  ip,
  jwt,
  oidc,
  quota,
  rateLimit,
  securityHeaders,
  throttle,
  timeout,
  validate,
]

export const ends: readonly EndDefinition[] = [forward, redirect, reply]

/** Everything that a config file may name. */
export const language = { policies, ends }
