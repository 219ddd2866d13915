// What holds for each call that is sent to an upstream, whatever is spoken there.

/** A server that answers with nothing but interim replies is broken. */
export const interimRepliesMax = 64

/** How long a call with `Expect: 100-continue` waits for the interim reply before its body is sent all the same. */
export const continueMs = 1_000

/** RFC 9110 §8.6: methods whose meaning anticipates content say that there is none. */
export function sendsLengthOfNothing(method: string): boolean {
  return method === 'POST' || method === 'PUT' || method === 'PATCH'
}
