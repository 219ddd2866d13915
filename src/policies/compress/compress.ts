// The policy `compress`: sends replies compressed to clients that take it.

import type { Call } from '../../core/call.ts'
import type { Headers } from '../../core/headers.ts'
import { definePolicy, OptionsError } from '../../core/policy.ts'
import type { Reply } from '../../core/reply.ts'
import { Choice, Fields, OneOrMany, Size, type Static, Type } from '../../core/schema.ts'
import { addVary } from '../../core/vary.ts'
import { chooseCoding } from './accepted.ts'
import { type Coding, codings, createCoders } from './coders.ts'
import { compressBody } from './compressed-body.ts'
import { compileTypes, textualTypes, typePattern } from './media-types.ts'

const level = (minimum: number, maximum: number, value: number) =>
  Type.Integer({ minimum, maximum, default: value, description: `From ${minimum}, the quickest, to ${maximum}.` })

const options = Fields({
  codings: OneOrMany(Choice(codings), {
    minItems: 1,
    default: ['zstd', 'br', 'gzip'],
    description: 'Content codings that are offered; among those that a client likes equally, the first is taken.',
  }),
  types: OneOrMany(Type.String(), {
    minItems: 1,
    default: textualTypes,
    description: 'Media types that are compressed: `type/subtype`, `type/*` or `*+suffix`.',
  }),
  min: Size({ default: '1kB', description: 'Replies known to be shorter are sent as they are.' }),
  levels: Fields(
    { gzip: level(1, 9, 5), br: level(0, 11, 4), zstd: level(1, 19, 3) },
    { default: {}, description: 'How hard each coding tries; time grows much faster than size shrinks.' },
  ),
  concurrent: Type.Integer({
    minimum: 1,
    maximum: 100_000,
    default: 512,
    description:
      'Replies that all workers together compress at once, at about 1 MB each; further ones are sent as they are.',
  }),
})

type Options = Static<typeof options>

export const compress = definePolicy({
  name: 'compress',
  summary: 'Sends replies compressed (zstd, br, gzip) to clients that accept it.',
  options,
  check,
  build(given, { meter, workers }, { route }) {
    const coders = createCoders(given.levels)
    const isFitting = compileTypes(given.types.map(type => type.toLowerCase()))
    const streamsMax = Math.max(1, Math.floor(given.concurrent / workers))
    const hits = meter.counter('turnpike_ceiling_hits', { ceiling: 'compressions', name: route })
    const bytes = {
      in: meter.counter('turnpike_compression_bytes', { http_route: route, side: 'in' }),
      out: meter.counter('turnpike_compression_bytes', { http_route: route, side: 'out' }),
    }
    const made = new Map(
      given.codings.map(coding => {
        return [coding, meter.counter('turnpike_compressions', { http_route: route, coding })] as const
      }),
    )
    let streams = 0
    const encode = (reply: Reply, coding: Coding) => {
      if (streams >= streamsMax) return hits.add(1)
      streams++
      made.get(coding)?.add(1)
      rewrite(reply.headers, coding)
      reply.body = compressBody(reply.body, {
        makeCoder: coders[coding],
        over(bytesIn, bytesOut) {
          streams--
          bytes.in.add(bytesIn)
          bytes.out.add(bytesOut)
        },
      })
    }
    return next =>
      async function compress(call) {
        const reply = await next(call)
        if (!isOpen(reply) || !isFitting(reply.headers.get('content-type') ?? '')) return weakenAgain(call, reply)
        const isHead = call.method === 'HEAD'
        // The reply to HEAD has no body to judge by, but the choice of the reply to GET is its choice, too.
        if (!isHead && reply.body.length >= 0 && reply.body.length < given.min) return reply
        addVary(reply.headers, 'Accept-Encoding')
        if (isHead) return reply
        const coding = chooseCoding(call.headers.all('accept-encoding').join(','), given.codings)
        if (coding !== '') encode(reply, coding)
        return reply
      }
  },
})

/** A reply whose content may be changed on the way, and is not encoded yet. */
function isOpen({ status, headers, tunnel }: Reply): boolean {
  // A part of a representation (206) is one of its bytes as they stand.
  if (status === 204 || status === 206 || status === 304 || tunnel !== null) return false
  if (headers.has('content-range')) return false
  if (headers.has('content-encoding') && headers.all('content-encoding').some(isEncoded)) return false
  return !headers.has('cache-control') || !headers.all('cache-control').some(value => /\bno-transform\b/i.test(value))
}

function isEncoded(value: string): boolean {
  return value.trim().toLowerCase() !== 'identity'
}

/** What holds for the bytes as they were does not hold for the compressed ones (RFC 9110 §8.8.3.3, RFC 9530). */
function rewrite(headers: Headers, coding: Coding): void {
  headers.set('content-encoding', coding)
  for (const key of ['content-length', 'accept-ranges', 'content-md5', 'content-digest', 'repr-digest', 'digest']) {
    headers.delete(key)
  }
  const tag = headers.get('etag')
  if (tag !== undefined && !tag.startsWith('W/')) headers.set('etag', `W/${tag}`)
}

/** The 304 to a question with a tag that was weakened here names the tag that the client has. */
function weakenAgain(call: Call, reply: Reply): Reply {
  const tag = reply.status === 304 ? reply.headers.get('etag') : undefined
  if (tag === undefined || tag.startsWith('W/')) return reply
  if (call.headers.all('if-none-match').some(value => value.includes(`W/${tag}`))) reply.headers.set('etag', `W/${tag}`)
  return reply
}

function check({ types, codings: offered }: Options): void {
  for (const [index, type] of types.entries()) {
    if (typePattern.test(type.toLowerCase())) continue
    const hint = 'Write `type/subtype`, `type/*` or `*+suffix`, such as `text/*` or `*+json`.'
    throw new OptionsError(`${JSON.stringify(type)} is not a media type`, ['types', index], hint)
  }
  const twice = offered.findIndex((coding, index) => offered.indexOf(coding) !== index)
  if (twice >= 0) {
    throw new OptionsError(`\`${offered[twice]}\` stands there twice`, ['codings', twice], 'Remove one of them.')
  }
}
