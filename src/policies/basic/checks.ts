// Checks passwords few at a time, and remembers for a while which ones were right.

import { createHmac, randomBytes } from 'node:crypto'
import type { Closable } from '../../core/policy.ts'
import type { Clock } from '../../core/ports.ts'
import { decoyHash, verifyPassword } from '../../identity/password.ts'

export interface CheckLimits {
  /** Checks at once in this worker. */
  readonly atOnce: number
  /** Checks that may wait for those. */
  readonly waiting: number
  /** Right ones that are remembered, and for how long. */
  readonly rememberedMax: number
  readonly rememberMs: number
}

/** `busy`: too many are checked already. */
export type Verdict = 'right' | 'wrong' | 'busy'

export interface PasswordChecks extends Closable {
  /**
   * Whether user and password fit the hash. Null for a user who is unknown costs the same. Resolved at once where the same three
   * were found right lately.
   */
  check(user: string, password: string, phc: string | null): Verdict | Promise<Verdict>
}

type Verify = typeof verifyPassword

export function createPasswordChecks(
  limits: CheckLimits,
  clock: Clock,
  verify: Verify = verifyPassword,
): PasswordChecks {
  const secret = randomBytes(32)
  const decoy = decoyHash()
  const untilMs = new Map<string, number>()
  const queue: (() => void)[] = []
  let running = 0

  const remember = (digest: string): void => {
    const [oldest] = untilMs.keys()
    if (untilMs.size >= limits.rememberedMax && oldest !== undefined) untilMs.delete(oldest)
    untilMs.delete(digest)
    untilMs.set(digest, clock.now() + limits.rememberMs)
  }

  const run = async (user: string, password: string, phc: string | null): Promise<Verdict> => {
    if (running >= limits.atOnce) await new Promise<void>(resolve => void queue.push(resolve))
    else running++
    try {
      const isRight = await verify(password, phc ?? decoy)
      if (phc === null || !isRight) return 'wrong'
      remember(digestOf(secret, user, password, phc))
      return 'right'
    } finally {
      // The place goes to whoever waits longest.
      const next = queue.shift()
      if (next === undefined) running--
      else next()
    }
  }

  return {
    check(user, password, phc) {
      if (phc !== null && (untilMs.get(digestOf(secret, user, password, phc)) ?? 0) > clock.now()) return 'right'
      if (running >= limits.atOnce && queue.length >= limits.waiting) return 'busy'
      return run(user, password, phc)
    },
    close: () => untilMs.clear(),
  }
}

/** Keyed, so that what is remembered tells nobody a password. The hash is part of it: a changed password is another one. */
function digestOf(secret: Buffer, user: string, password: string, phc: string): string {
  return createHmac('sha256', secret)
    .update(JSON.stringify([user, password, phc]))
    .digest('base64')
}
