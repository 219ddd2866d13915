// Who stands at the other end of a connection, for all calls that come over it.

import type { Socket } from 'node:net'
import type { Peer } from '../core/call.ts'
import type { ProxiedEnds } from '../http/proxy-header.ts'
import { plainAddress } from './forwarded.ts'
import type { Gate } from './gate.ts'

/**
 * Owns nothing: the socket is that of the connection.
 *
 * Hot path: a class, because each object literal with getters has a shape of its own, and what reads members of many shapes looks them
 * up by name.
 */
export class ConnectedPeer implements Peer {
  readonly address: string
  readonly port: number
  readonly isTrusted: boolean
  readonly scheme: Peer['scheme']
  readonly certificate: Peer['certificate']
  readonly #socket: Socket
  readonly #ends: ProxiedEnds | null
  readonly #gate: Gate

  /** `ends` are those that a PROXY header told of; null without one. */
  constructor(socket: Socket, ends: ProxiedEnds | null, gate: Gate, secured: Pick<Peer, 'scheme' | 'certificate'>) {
    this.#socket = socket
    this.#ends = ends
    this.#gate = gate
    this.address = ends?.source.address ?? plainAddress(socket.remoteAddress)
    this.port = ends?.source.port ?? socket.remotePort ?? 0
    this.isTrusted = gate.isTrusted(this.address)
    this.scheme = secured.scheme
    this.certificate = secured.certificate
  }

  /** Asked of the system only where something wants it. */
  get local(): Peer['local'] {
    const socket = this.#socket
    return this.#ends?.destination ?? { address: plainAddress(socket.localAddress), port: socket.localPort ?? 0 }
  }

  /** A reload may give the listener another name. */
  get listener(): string {
    return this.#gate.name
  }
}
