// Whether TCP ports of this machine are free or answer.

import net from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

/** Throws when any of the ports is taken. */
export async function requireFree(ports: readonly number[]): Promise<void> {
  const taken: number[] = []
  for (const port of ports) if (!(await isFree(port))) taken.push(port)
  if (taken.length === 0) return
  const [which, verb] = taken.length === 1 ? ['port', 'is'] : ['ports', 'are']
  throw new Error(
    `${which} ${taken.join(', ')} ${verb} in use by another program, and the example needs ${taken.length === 1 ? 'it' : 'them'}.\n` +
      `  See who has it with: ss -ltnp 'sport = :${taken[0]}'\n` +
      '  Stop that program, then start the example again.',
  )
}

export function isFree(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const server = net.createServer()
    server.once('error', () => resolve(false))
    server.listen({ port, host: '0.0.0.0', exclusive: true }, () => server.close(() => resolve(true)))
  })
}

/** Whether something accepts connections; takes at least a moment, so that it may be asked in a loop. */
export async function isAnswering(port: number): Promise<boolean> {
  const isOpen = await new Promise<boolean>(resolve => {
    const socket = net.connect({ port, host: '127.0.0.1' })
    const end = (answer: boolean): void => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('connect', () => end(true))
    socket.once('error', () => end(false))
  })
  if (!isOpen) await delay(50)
  return isOpen
}
