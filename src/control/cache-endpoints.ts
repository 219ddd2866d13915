// The endpoint that takes replies out of the caches.

import { suggest } from '../config/suggest.ts'
import type { Purge } from '../core/purges.ts'
import { Fields, Type } from '../core/schema.ts'
import { readBody, refuseMember } from './body.ts'
import { type Endpoint, json } from './endpoint.ts'

const text = Type.Optional(Type.String({ minLength: 1, maxLength: 8000 }))
const body = Fields({ url: text, prefix: text, tag: text, route: text, all: Type.Optional(Type.Boolean()) })

export const cacheEndpoints: readonly Endpoint[] = [
  {
    method: 'POST',
    path: /^\/cache\/purge$/,
    isManagement: true,
    async answer({ body: given }, view) {
      const purge = purgeOf(readBody(given, body))
      if (purge.by === 'route') checkRoute(purge.value, view.routes())
      return json(200, { ...purge, purged: await view.purge(purge) })
    },
  },
]

const kinds = ['url', 'prefix', 'tag', 'route'] as const

function purgeOf(given: { readonly [K in (typeof kinds)[number]]?: string } & { readonly all?: boolean }): Purge {
  const found: Purge[] = kinds.flatMap(by => (given[by] === undefined ? [] : [{ by, value: valueOf(by, given[by]) }]))
  if (given.all === true) found.push({ by: 'all', value: '' })
  const [purge] = found
  if (found.length === 1 && purge !== undefined) return purge
  return refuseMember(
    '',
    'a purge names one of `url`, `prefix`, `tag`, `route` and `all`',
    'Send `{ "tag": "products" }`.',
  )
}

/** A misspelled name would be answered that nothing was there, and what should be gone be sent on. */
function checkRoute(name: string, known: readonly string[]): void {
  if (known.includes(name)) return
  refuseMember('route', `there is no route \`${name}\``, suggest(name, known, 'Known routes'))
}

/** URLs as `//host/path?query`, or without a host as `/path?query`. */
function valueOf(by: (typeof kinds)[number], value: string): string {
  if (by === 'tag' || by === 'route' || value.startsWith('/')) return value
  const [, rest] = /^https?:(\/\/[^/?#\s]+(?:[/?][^#\s]*)?)$/i.exec(value) ?? []
  if (rest !== undefined) return rest
  return refuseMember(
    by,
    `\`${value}\` is no URL`,
    'Write `https://shop.acme.test/products`, or `/products` for any host.',
  )
}
