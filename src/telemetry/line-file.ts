// A file or the standard output that takes whole lines from several threads without mixing them.

import { closeSync, fstatSync, openSync, write } from 'node:fs'
import { promisify } from 'node:util'
import { type LineFile, lineBytesMax } from './line-writer.ts'

const writeAsync = promisify(write)
const stdoutFd = 1
const retryMs = 20

/** `stdout` or a path, created where it does not exist. Throws an Error that says what is wrong with the path. */
export function openLineFile(to: string): LineFile {
  return to === 'stdout' ? openStdout() : openPath(to)
}

/** O_APPEND makes every write one piece at the end of the file, whichever thread it came from. */
function openPath(path: string): LineFile {
  let fd = openForAppend(path)
  return {
    write: bytes => writeAll(fd, bytes),
    reopen: async () => {
      const handle = openForAppend(path)
      const old = fd
      fd = handle
      closeSync(old)
    },
    close: async () => closeSync(fd),
  }
}

function openForAppend(path: string): number {
  try {
    return openSync(path, 'a', 0o640)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new Error(
      `the access log cannot be opened: ${reason}; check telemetry.accessLog and that its folder exists`,
      {
        cause,
      },
    )
  }
}

/** A pipe takes up to PIPE_BUF bytes in one piece; more may be mixed with what other threads write. */
function openStdout(): LineFile {
  const isFile = fstatSync(stdoutFd).isFile()
  return {
    write: async bytes => {
      if (isFile) return writeAll(stdoutFd, bytes)
      for (let from = 0; from < bytes.length; ) {
        const to = endOfPiece(bytes, from)
        await writeAll(stdoutFd, bytes.subarray(from, to))
        from = to
      }
    },
    reopen: async () => {},
    close: async () => {},
  }
}

/** As many whole lines as fit. A line is never longer than that. */
function endOfPiece(bytes: Buffer, from: number): number {
  if (bytes.length - from <= lineBytesMax) return bytes.length
  const last = bytes.lastIndexOf(0x0a, from + lineBytesMax - 1)
  return last < from ? from + lineBytesMax : last + 1
}

/** The file descriptor may be shared with a terminal or pipe in non-blocking mode: full means trying again later. */
async function writeAll(fd: number, bytes: Buffer): Promise<void> {
  for (let from = 0; from < bytes.length; ) {
    try {
      const { bytesWritten } = await writeAsync(fd, bytes, from, bytes.length - from)
      from += bytesWritten
    } catch (cause) {
      if (!(cause instanceof Error && 'code' in cause && cause.code === 'EAGAIN')) throw cause
      await new Promise(resolve => setTimeout(resolve, retryMs))
    }
  }
}
