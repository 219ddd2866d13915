// A policy of one's own: lets a call pass only by a link that was signed and has not expired.

import { createHmac, timingSafeEqual } from 'node:crypto'
import { defineFact, definePolicy, OptionsError, Reply, schema } from '../../src/index.ts'

/** What later policies may read, in templates as `{fact.link.expires}`. */
export interface Link {
  /** ISO 8601. */
  readonly expires: string
}

const link = defineFact<Link>('link')

export const signedLink = definePolicy({
  name: 'signed-link',
  summary: 'Lets calls pass by links that were signed and have not expired.',
  options: schema.Shorthand(
    'secret',
    schema.Fields({
      secret: schema.Type.String({ description: 'Key of the HMAC; share it with whoever makes the links.' }),
    }),
  ),
  gives: [link],

  /** At check time, for what the schema cannot say. */
  check({ secret }) {
    if (secret.length >= 16) return
    throw new OptionsError('the secret is too short', ['secret'], 'Use 16 characters or more, from a random source.')
  },

  /** Once per use in the config and worker thread. */
  build({ secret }, { clock }) {
    return next =>
      /** Once per call. */
      function signedLink(call) {
        const query = new URLSearchParams(call.query)
        const expires = query.get('expires') ?? ''
        const expiresMs = Number(expires) * 1000
        const isSigned = isEqual(query.get('signature') ?? '', sign(secret, call.path, expires))
        if (!isSigned) return Promise.resolve(Reply.text(403, 'this link is not signed by us\n'))
        if (!(expiresMs > clock.wall())) return Promise.resolve(Reply.text(403, 'this link has expired\n'))
        call.facts.set(link, { expires: new Date(expiresMs).toISOString() })
        return next(call)
      }
  },
})

/** `expires` in seconds since the Unix epoch. */
function sign(secret: string, path: string, expires: string): string {
  return createHmac('sha256', secret).update(`${path}\n${expires}`).digest('base64url')
}

function isEqual(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)]
  return a.length === b.length && timingSafeEqual(a, b)
}

/** What the gateway looks for in an extension: `policies`, `ends` or both. */
export const policies = [signedLink]
