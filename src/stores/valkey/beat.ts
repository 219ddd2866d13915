// What a heartbeat learns of the store.

export interface Beat {
  /** Gateways seen alive. */
  readonly gateways: number
  /** Names the data: other data has another name. */
  readonly epoch: string
  /** How long ago the data began in place of other data that a gateway had counted in; null where none is known. */
  readonly sinceLossMs: number | null
  readonly isCluster: boolean
  /** How the server drops keys when its memory is full; empty where it does not. */
  readonly evicts: string
}

/** @throws Error for a reply that the script cannot have made. */
export function readBeat(reply: unknown): Beat {
  if (!Array.isArray(reply) || reply.length !== 5) throw new Error('the store answered a heartbeat with something else')
  const [gateways, epoch, sinceLossMs, isCluster, evicts] = reply as unknown[]
  if (typeof gateways !== 'number' || typeof epoch !== 'string' || typeof sinceLossMs !== 'number') {
    throw new Error('the store answered a heartbeat with something else')
  }
  return {
    gateways,
    epoch,
    sinceLossMs: sinceLossMs < 0 ? null : sinceLossMs,
    isCluster: isCluster === 1,
    evicts: typeof evicts === 'string' ? evicts : '',
  }
}
