// How consumers and credentials are shown: times as ISO 8601, no digests, no password hashes, and where the entry stands.

import {
  type Consumer,
  configIdPrefix,
  type Credential,
  type CredentialKind,
  type Page,
  type PageRequest,
} from '../core/consumers.ts'

export function shownConsumer(consumer: Consumer) {
  return { ...consumer, source: sourceOf(consumer.id) }
}

export function shownCredential(credential: Credential, nowMs: number) {
  const { id, kind, consumer, application, hint, lookup, scopes, labels, expiresMs, revokedMs, createdMs, usedMs } =
    credential
  const isExpired = expiresMs !== null && expiresMs <= nowMs
  return {
    ...{ id, kind, consumer, application: application === '' ? null : application },
    // The digest of a key says nothing to people; of the others the lookup is what they are called.
    ...(kind !== 'key' && { name: lookup }),
    ...(hint !== '' && { hint }),
    ...{ scopes, labels, state: revokedMs !== null ? 'revoked' : isExpired ? 'expired' : 'valid' },
    ...{ created: createdMs === 0 ? null : iso(createdMs), expires: iso(expiresMs), revoked: iso(revokedMs) },
    ...{ used: iso(usedMs), source: sourceOf(id) },
  }
}

export function shownPage<T>({ items, next }: Page<T>, show: (item: T) => unknown) {
  return { items: items.map(show), next }
}

export const kinds: readonly CredentialKind[] = ['key', 'basic', 'signature', 'certificate']

const limitMax = 1_000

/** `?limit=…&after=…`. */
export function pageOf(query: URLSearchParams): PageRequest {
  const limit = Number(query.get('limit') ?? 100)
  const whole = Number.isInteger(limit) && limit > 0 ? limit : 100
  return { limit: Math.min(whole, limitMax), after: query.get('after') ?? '' }
}

function sourceOf(id: string): 'config' | 'store' {
  return id.startsWith(configIdPrefix) ? 'config' : 'store'
}

export function iso(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString()
}
