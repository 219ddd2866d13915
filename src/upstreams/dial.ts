// Opens sockets to one address: plain or TLS, with a PROXY header before either where the upstream wants one.

import net, { type Socket } from 'node:net'
import tls from 'node:tls'
import type { UpstreamBlueprint } from '../core/upstream-schema.ts'
import type { EndpointAddress } from './endpoint.ts'
import { type UpstreamPem, upstreamTlsOptions } from './upstream-tls.ts'

export interface DialOptions {
  readonly blueprint: Pick<UpstreamBlueprint, 'tls'>
  readonly pem: UpstreamPem
  /** Sent on each connection before TLS or HTTP; null for nothing. */
  readonly preface: Buffer | null
  /** `scratch` is where the plain sockets of this worker read into. */
  readonly share: { readonly scratch: Buffer }
}

/** Keeps the TLS session of its address; the sockets belong to whoever asked for them. */
export class Dialer {
  readonly #address: EndpointAddress
  readonly #options: DialOptions
  readonly #protocols: string[]
  #session: Buffer | null = null

  /** `protocols` are offered by ALPN, the preferred one first. */
  constructor(address: EndpointAddress, options: DialOptions, protocols: string[]) {
    this.#address = address
    this.#protocols = protocols
    this.#options = options
  }

  /** A socket that is connecting. What a plain one receives goes to `received`, which says whether it may go on. */
  dial(received: (bytes: Buffer) => boolean): Socket {
    return this.#address.scheme === 'https' ? this.#secure() : this.#plain(received)
  }

  /**
   * Hot path: all plain sockets of a worker read into one buffer, so that a reply costs no buffer of its own and none of the
   * stream machinery; about 1.5 µs a call (bench/NOTES.md). What is kept of it is copied by who keeps it.
   */
  #plain(received: (bytes: Buffer) => boolean): Socket {
    const { preface, share } = this.#options
    const { scratch } = share
    const socket = net.connect({
      ...this.#target(),
      noDelay: true,
      onread: {
        buffer: scratch,
        callback: size => received(scratch.subarray(0, size)),
      },
    })
    if (preface !== null) socket.write(preface)
    return socket
  }

  #secure(): Socket {
    const { blueprint, pem, preface } = this.#options
    const socket = tls.connect({
      ...throughPreface(this.#target(), preface),
      ...upstreamTlsOptions(blueprint.tls, pem, this.#address.hostname),
      ...(this.#session !== null && { session: this.#session }),
      ALPNProtocols: this.#protocols,
    })
    socket.setNoDelay(true)
    socket.on('session', session => {
      this.#session = session
    })
    return socket
  }

  #target(): { host: string; port: number } {
    return { host: this.#address.address, port: this.#address.port }
  }
}

/** For `tls.connect`: what comes before the handshake is written by a socket of its own, which TLS then takes over. */
export function throughPreface<T extends { readonly host: string; readonly port: number }>(
  target: T,
  preface: Buffer | null,
): T | { readonly socket: Socket } {
  if (preface === null) return target
  const socket = net.connect({ ...target, noDelay: true })
  socket.write(preface)
  return { socket }
}

/** A reset comes in the handshake: to the opening of a connection it is ECONNREFUSED. */
export function isTlsError(error: Error | null): boolean {
  const code = error !== null && 'code' in error ? String(error.code) : ''
  return !/^(ECONNREFUSED|ECONNABORTED|ENET|EHOST|ETIMEDOUT|EPIPE|EADDR|EMFILE)/.test(code)
}
