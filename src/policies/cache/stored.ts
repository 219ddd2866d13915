// A reply that is kept, and the resource that it is one form of.

import type { Headers } from '../../core/headers.ts'
import type { ReplyRules } from './directives.ts'
import type { Selection } from './vary.ts'

export interface Lease {
  readers: number
}

/** Never changed once it is made: an update puts another one in its place. Times without `wall` are those of `Clock.now`. */
export interface Stored {
  readonly status: number
  readonly reason: string
  /** As they are sent, but for Age. */
  readonly headers: Headers
  readonly body: Buffer
  /** How many replies are being sent from the body now, of those that are sent piece by piece. */
  readonly lease: Lease
  readonly rules: ReplyRules
  readonly selection: Selection
  /** Empty without one. */
  readonly etag: string
  readonly lastModified: string
  /** When the reply came, and how old it was then, in milliseconds. */
  readonly storedMs: number
  readonly storedWallMs: number
  readonly initialAgeMs: number
  readonly lifetimeMs: number
  /** Until then it may be sent without a question. */
  readonly freshUntilMs: number
  /** The mark of its path, as it was read before the reply was asked for. */
  readonly mark: number
  readonly tags: readonly string[]
}

/** All that is kept under one key. */
export interface Resource {
  /** Host in lower case, without port. */
  readonly host: string
  readonly target: string
  readonly route: string
  /** What a target becomes by the rules of this use of the policy. */
  readonly targetOf: (received: string) => string
  /** Place of the mark that calls which change the path leave. */
  readonly place: number
  /** The newest first. */
  readonly variants: readonly Stored[]
}

/** Roughly what an object, its strings and its place in the table take besides the text. */
const overheadBytes = 1_000
const fieldOverheadBytes = 60

export function bytesOf(key: string, { variants }: Resource): number {
  let bytes = 2 * key.length + overheadBytes
  for (const variant of variants) bytes += variantBytes(variant)
  return bytes
}

function variantBytes({ headers, body, selection, tags }: Stored): number {
  let bytes = body.length + overheadBytes
  for (const text of headers.list) bytes += text.length + fieldOverheadBytes / 3
  for (const text of selection) bytes += text.length + fieldOverheadBytes / 3
  for (const tag of tags) bytes += tag.length + fieldOverheadBytes / 3
  return Math.ceil(bytes)
}

/** Milliseconds since the reply was made (RFC 9111 §4.2.3). */
export function ageOf({ storedMs, initialAgeMs }: Stored, nowMs: number): number {
  return initialAgeMs + nowMs - storedMs
}

/** The reply with this selection goes; at most `variantsMax` stay. */
export function withVariant(variants: readonly Stored[], added: Stored, variantsMax: number): Stored[] {
  const others = variants.filter(({ selection }) => !isSame(selection, added.selection))
  return [added, ...others].slice(0, variantsMax)
}

function isSame(one: Selection, other: Selection): boolean {
  return one.length === other.length && one.every((text, index) => text === other[index])
}
