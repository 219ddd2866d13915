// Frames about the connection as a whole: SETTINGS, PING, GOAWAY, and those that mean nothing to us.

import { ErrorCode, Flag, FrameType } from './protocol.ts'
import type { Session } from './session.ts'

export function takeConnectionFrame(
  session: Session,
  type: number,
  flags: number,
  streamId: number,
  bytes: Buffer,
  start: number,
  end: number,
): void {
  switch (type) {
    case FrameType.settings:
      return takeSettings(session, flags, streamId, bytes, start, end)
    case FrameType.ping:
      return takePing(session, flags, streamId, bytes, start, end)
    case FrameType.goAway:
      if (streamId !== 0) return session.protocolError('GOAWAY on a stream')
      if (end - start < 8) return session.frameSizeError('GOAWAY')
      if (!session.count('emptyFrames')) return
      return session.peerLeaves(bytes.readUInt32BE(start) & 0x7fffffff, bytes.readUInt32BE(start + 4))
    case FrameType.pushPromise:
      // §8.4: clients send none, and we allow servers none.
      return session.protocolError('PUSH_PROMISE')
    case FrameType.priority:
      // §5.3.2: deprecated; its form is looked at, and nothing made of it.
      if (streamId === 0) return session.protocolError('PRIORITY without a stream')
      if (end - start !== 5) return session.frameSizeError('PRIORITY')
      return void session.count('emptyFrames')
    default:
      // §4.1: unknown types are ignored.
      return void session.count('emptyFrames')
  }
}

function takeSettings(
  session: Session,
  flags: number,
  streamId: number,
  bytes: Buffer,
  start: number,
  end: number,
): void {
  if (streamId !== 0) return session.protocolError('SETTINGS on a stream')
  const size = end - start
  if ((flags & Flag.ack) !== 0) {
    if (size !== 0) return session.frameSizeError('SETTINGS with ACK')
    if (!session.hasSettings) return session.protocolError('a first frame that is not SETTINGS')
    return void session.count('settings')
  }
  if (size % 6 !== 0) return session.frameSizeError('SETTINGS')
  if (!session.count('settings')) return
  const problem = session.peer.read(bytes, start, end, session.isServer)
  if (problem !== ErrorCode.noError) return session.fail(problem, 'a setting with a value that it cannot have')
  session.applySettings()
}

function takePing(session: Session, flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
  if (streamId !== 0) return session.protocolError('PING on a stream')
  if (end - start !== 8) return session.frameSizeError('PING')
  if (!session.count('pings') || (flags & Flag.ack) !== 0) return
  session.outbox.control(FrameType.ping, Flag.ack, 0, bytes.readUInt32BE(start), bytes.readUInt32BE(start + 4))
}
