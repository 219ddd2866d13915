// Failures to connect that say nothing of the target: this machine had no descriptor, port or memory for another socket.

const ownCodes: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'EADDRNOTAVAIL'])

/** Whether an error, or what caused it, is the gateway's own. */
export function isOwnFault(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  return ('code' in error && ownCodes.has(String(error.code))) || isOwnFault(error.cause)
}
