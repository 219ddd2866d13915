// One end of a connection in the hands of a test: sends text, waits for text, waits for the close.

import { once } from 'node:events'
import net, { type AddressInfo, type Server, type Socket } from 'node:net'

/** For what a machine with other work takes long to do. */
const waitMsMax = 15_000

export class Peer {
  readonly socket: Socket
  /** Everything received, latin1. */
  text = ''
  isClosed = false
  readonly #watchers = new Set<() => void>()

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.text += chunk.toString('latin1')
      this.#tell()
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      this.isClosed = true
      this.#tell()
    })
  }

  static async connect(port: number): Promise<Peer> {
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true })
    const peer = new Peer(socket)
    await once(socket, 'connect')
    return peer
  }

  send(text: string): void {
    this.socket.write(text, 'latin1')
  }

  /** Resolves once the text holds this. */
  async until(what: string | RegExp): Promise<void> {
    const isThere = () => (typeof what === 'string' ? this.text.includes(what) : what.test(this.text))
    await this.#watch(isThere, `${what} in ${JSON.stringify(this.text.slice(0, 500))}`)
  }

  async closed(): Promise<void> {
    await this.#watch(() => this.isClosed, `close behind ${JSON.stringify(this.text.slice(0, 500))}`)
  }

  #tell(): void {
    for (const watcher of this.#watchers) watcher()
  }

  #watch(isThere: () => boolean, what: string): Promise<void> {
    if (isThere()) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => done(() => reject(new Error(`waited in vain for ${what}`))), waitMsMax)
      const look = () => {
        if (isThere()) done(resolve)
      }
      const done = (settle: () => void) => {
        clearTimeout(timer)
        this.#watchers.delete(look)
        settle()
      }
      this.#watchers.add(look)
    })
  }
}

/** A server that hands each connection to the test. */
export class PeerServer {
  readonly peers: Peer[] = []
  readonly #server: Server
  readonly #waiting: ((peer: Peer) => void)[] = []
  #taken = 0

  constructor() {
    this.#server = net.createServer({ noDelay: true }, socket => {
      const peer = new Peer(socket)
      this.peers.push(peer)
      const next = this.#waiting.shift()
      if (next !== undefined) {
        this.#taken++
        next(peer)
      }
    })
  }

  async listen(): Promise<number> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return (this.#server.address() as AddressInfo).port
  }

  /** The next connection that nobody has taken yet. */
  accept(): Promise<Peer> {
    const peer = this.peers[this.#taken]
    if (peer !== undefined) {
      this.#taken++
      return Promise.resolve(peer)
    }
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('waited in vain for a connection')), 5_000)
      this.#waiting.push(next => {
        clearTimeout(timer)
        resolve(next)
      })
    })
  }

  get open(): number {
    return this.peers.filter(({ isClosed }) => !isClosed).length
  }

  close(): void {
    this.#server.close()
    for (const { socket } of this.peers) socket.destroy()
  }
}
