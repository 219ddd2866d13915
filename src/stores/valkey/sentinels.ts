// Where the primary is, by what sentinels say.

import { type Address, Connection, type ConnectionSettings } from './connection.ts'

/** Owns a connection to the sentinel that answered last. */
export class Sentinels {
  readonly #nodes: readonly Address[]
  readonly #master: string
  readonly #settings: ConnectionSettings
  #at = 0
  #connection: Connection | null = null
  #isClosed = false

  constructor(nodes: readonly Address[], master: string, settings: ConnectionSettings) {
    this.#nodes = nodes
    this.#master = master
    this.#settings = settings
  }

  /** Asks one after the other until one knows; rejects with what the last one said. */
  async primary(): Promise<Address> {
    let cause: unknown = new Error('no sentinel is named')
    for (let tries = 0; tries < this.#nodes.length && !this.#isClosed; tries++) {
      try {
        return await this.#ask()
      } catch (error) {
        cause = error
        this.distrust()
      }
    }
    throw cause
  }

  /** The next question goes to another sentinel: where this one led to was of no use. */
  distrust(): void {
    this.#connection?.close()
    this.#connection = null
    this.#at = (this.#at + 1) % this.#nodes.length
  }

  close(): void {
    this.#isClosed = true
    this.#connection?.close()
    this.#connection = null
  }

  async #ask(): Promise<Address> {
    const node = this.#nodes[this.#at] as Address
    if (this.#connection === null) {
      const opened = await Connection.open(node, this.#settings, () => {
        if (this.#connection === opened) this.#connection = null
      })
      this.#connection = opened
      if (this.#isClosed) this.close()
    }
    const reply = await this.#connection?.command('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', this.#master)
    if (!Array.isArray(reply) || typeof reply[0] !== 'string') {
      throw new Error(`the sentinel ${node.host}:${node.port} knows no primary named ${this.#master}`)
    }
    return { host: reply[0], port: Number(reply[1]) }
  }
}
