// Puts a socket that was accepted into the hands of a connection, and into those of another where HTTP/2 begins on it.

import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { Peer } from '../core/call.ts'
import { Failure } from '../core/failure.ts'
import { preface } from '../http2/protocol.ts'
import { Connection } from './connection.ts'
import type { EdgeConnection, Gate, TakeOver } from './gate.ts'
import { Http2Connection } from './http2-connection.ts'

/** What is spoken is known from the handshake with TLS, and without from the first bytes. */
export function attach(socket: Socket, peer: Peer, gate: Gate): EdgeConnection {
  const isHttp2 = socket instanceof TLSSocket && socket.alpnProtocol === 'h2'
  let connection: EdgeConnection = isHttp2
    ? new Http2Connection(socket, peer, gate)
    : new Connection(socket, peer, gate, (bytes, start, end) => change(bytes, start, end))
  const leave = () => {
    gate.connections.delete(connection)
    gate.deadlines.remove(connection)
  }
  const enter = () => {
    gate.connections.add(connection)
    gate.deadlines.add(connection)
    connection.read()
    if (gate.isDraining) connection.drain()
  }
  const change: TakeOver = (bytes, start, end) => {
    if (!gate.http2.enabled || peer.scheme === 'https' || !isPreface(bytes, start, end)) return false
    leave()
    socket.removeAllListeners('data')
    const next = new Http2Connection(socket, peer, gate)
    connection = next
    enter()
    next.received(bytes.subarray(start))
    return true
  }
  enter()
  socket.on('end', () => connection.ended())
  socket.on('drain', () => connection.drained())
  socket.on('close', () => {
    leave()
    connection.closed()
  })
  return connection
}

/** Answers a client that speaks plain HTTP to a port for TLS, and closes, as soon as that is clear. */
export function turnBack(socket: Socket, peer: Peer, gate: Gate): void {
  const connection = attach(socket, peer, gate)
  if (connection instanceof Connection) connection.refuse(new Failure('plain-http-on-tls-port'))
}

/** The next reply is the last, and without one the connection soon closes: its certificate was judged by other authorities. */
export function letGo(connection: EdgeConnection, gate: Gate): void {
  if (!(connection instanceof Connection)) return connection.drain()
  connection.keepsAlive = false
  if (connection.isIdle) connection.dueMs = Math.min(connection.dueMs, gate.clock.now() + gate.partingMs)
}

/** RFC 9113 §3.4: the preface looks like a head of a version that is not ours; its rest is for the session to judge. */
function isPreface(bytes: Buffer, start: number, end: number): boolean {
  return preface.compare(bytes, start, end, 0, end - start) === 0
}
