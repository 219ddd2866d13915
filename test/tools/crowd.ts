// Many connections at once, from as many loopback addresses as they need.

import net, { type Socket } from 'node:net'

/** One address has about 28,000 ports to connect from. */
const perAddress = 10_000

/** Owns its sockets. */
export class Crowd implements Disposable {
  readonly sockets: Set<Socket> = new Set()
  /** Connections that were made at all. */
  connected = 0
  /** How the others ended, and those that ended later. */
  readonly ends: Map<string, number> = new Map()

  /** Connects so many, so many at a time, and resolves when each is connected or refused. Sends `first` on each. */
  async add(port: number, count: number, first = '', atOnce = 200, address?: string): Promise<void> {
    let begun = 0
    const work = async () => {
      while (begun < count) {
        const localAddress = address ?? `127.0.0.${2 + Math.floor(begun / perAddress)}`
        begun++
        await this.#connect(port, localAddress, first)
      }
    }
    await Promise.all(Array.from({ length: atOnce }, work))
  }

  get open(): number {
    return this.sockets.size
  }

  leave(): void {
    for (const socket of this.sockets) socket.destroy()
    this.sockets.clear()
  }

  [Symbol.dispose](): void {
    this.leave()
  }

  #connect(port: number, localAddress: string, first: string): Promise<void> {
    return new Promise(resolve => {
      const socket = net.connect({ port, host: '127.0.0.1', localAddress })
      const ended = (how: string) => {
        if (this.sockets.delete(socket)) this.ends.set(how, (this.ends.get(how) ?? 0) + 1)
        resolve()
      }
      this.sockets.add(socket)
      socket.on('connect', () => {
        this.connected++
        if (first !== '') socket.write(first)
        resolve()
      })
      socket.on('end', () => ended('closed'))
      socket.on('error', (error: NodeJS.ErrnoException) => ended(error.code ?? error.message))
      socket.on('close', () => ended('closed'))
      socket.resume()
    })
  }
}
