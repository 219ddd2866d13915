// Why a store does not count: one word for the metric, a sentence for the log.

export interface StoreFailure {
  /** What the server began its answer with, in lower case (`readonly`, `oom`), or `timeout`, `unreachable`, `tls`, `other`. */
  readonly reason: string
  readonly text: string
}

/** Whatever was thrown on the way to the store and back, except by a bug of ours. */
export function storeFailureOf(error: unknown): StoreFailure {
  const cause = error instanceof AggregateError && error.errors.length > 0 ? (error.errors[0] as unknown) : error
  const message = cause instanceof Error ? cause.message : String(cause)
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  // The message alone: clients put the arguments of the command on their errors.
  const text = (message === '' ? code : message).slice(0, 200)
  const word = /^([A-Z]{2,20}) /.exec(message)?.[1]
  if (word !== undefined && clusterWords.includes(word)) return { reason: 'cluster', text: clusterText }
  if (message === clusterText) return { reason: 'cluster', text }
  if (word !== undefined && knownWords.has(word)) return { reason: word.toLowerCase(), text }
  if (/timed out|ETIMEDOUT|took longer/.test(message)) return { reason: 'timeout', text }
  if (/CERT|TLS|SSL|VERIFY|EPROTO/.test(code)) return { reason: 'tls', text }
  if (/^E[A-Z]/.test(code) || /closed|writeable/.test(message)) return { reason: 'unreachable', text }
  return { reason: 'other', text }
}

/** What servers begin answers in trouble with; a word that is not here is `other`, so that no server can make metrics at will. */
const knownWords = new Set(
  (
    'BUSY EXECABORT LAPSED LOADING MASTERDOWN MISCONF NOAUTH NOPERM NOPROTO NOREPLICAS NOSCRIPT OOM READONLY UNBLOCKED ' +
    'UNKILLABLE WRONGPASS WRONGTYPE'
  ).split(' '),
)

const clusterWords = ['MOVED', 'ASK', 'CROSSSLOT', 'CLUSTERDOWN', 'TRYAGAIN']

export const clusterText =
  'the server belongs to a cluster, which limits cannot count in: name a primary that is not, or sentinels'
