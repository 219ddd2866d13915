// What the other end of a connection has set (RFC 9113 §6.5).

import { ErrorCode, framePayloadMax, initialWindow, Setting, windowMax } from './protocol.ts'

export class PeerSettings {
  headerTableBytes = 4_096
  /** Streams that we may have open at once; Infinity until the peer says otherwise. */
  streamsMax = Infinity
  window: number = initialWindow
  headerListBytesMax = Infinity
  /** RFC 8441: an extended CONNECT is understood. */
  takesConnect = false

  /** Reads a payload whose length is a multiple of six. Returns `noError`, or what is wrong with it. */
  read(bytes: Buffer, start: number, end: number, isServer: boolean): number {
    for (let at = start; at < end; at += 6) {
      const problem = this.#set(bytes.readUInt16BE(at), bytes.readUInt32BE(at + 2), isServer)
      if (problem !== ErrorCode.noError) return problem
    }
    return ErrorCode.noError
  }

  #set(setting: number, value: number, isServer: boolean): number {
    switch (setting) {
      case Setting.headerTableSize:
        this.headerTableBytes = value
        return ErrorCode.noError
      case Setting.enablePush:
        // §6.5.2: a server says nothing but 0.
        return value > 1 || (value === 1 && !isServer) ? ErrorCode.protocolError : ErrorCode.noError
      case Setting.maxConcurrentStreams:
        this.streamsMax = value
        return ErrorCode.noError
      case Setting.initialWindowSize:
        if (value > windowMax) return ErrorCode.flowControlError
        this.window = value
        return ErrorCode.noError
      case Setting.maxFrameSize:
        return value < framePayloadMax || value > 0xffffff ? ErrorCode.protocolError : ErrorCode.noError
      case Setting.maxHeaderListSize:
        this.headerListBytesMax = value
        return ErrorCode.noError
      case Setting.enableConnectProtocol:
        // RFC 8441 §3: 0 or 1, and never 0 again behind 1.
        if (value > 1 || (value === 0 && this.takesConnect)) return ErrorCode.protocolError
        this.takesConnect = value === 1
        return ErrorCode.noError
      default:
        return ErrorCode.noError
    }
  }
}
