// The scheme that the client used, also behind a trusted proxy that ends TLS.

import type { Call } from './call.ts'

export function schemeOf({ peer, headers }: Call): string {
  const forwarded = peer.isTrusted ? headers.get('x-forwarded-proto') : undefined
  return forwarded === 'https' || forwarded === 'http' ? forwarded : peer.scheme
}
