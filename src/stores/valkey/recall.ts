// How permits that others hold and do not use are had back: they are called out on a channel, and whoever lacks some asks again.

/** How soon is asked again, and how seldom at most; milliseconds. */
export const recallWaitMs = 2
const recallWaitMsMax = 16

/** How long others may take to give back; then nobody waits for them any more, ms. */
export const recallAnswerMs = 200

export function nextRecallWaitMs(waitMs: number): number {
  return Math.min(2 * waitMs, recallWaitMsMax)
}
