// Collects lines and writes them in batches, so that a call never waits for a disk or a pipe.

import type { Clock, Deadlines, Timed } from '../core/ports.ts'

/** Where batches go. A batch is whole lines. */
export interface LineFile {
  /** Resolves when all bytes were taken. Not called again before that. */
  write(bytes: Buffer): Promise<void>
  /** Opens the file anew under its path, after it was moved away. Keeps the old one where that fails, and rejects. */
  reopen(): Promise<void>
  close(): Promise<void>
}

export interface LineWriterOptions {
  readonly file: LineFile
  /** Bytes waiting or being written; a line that does not fit is dropped. */
  readonly bufferBytes: number
  readonly clock: Clock
  readonly deadlines: Deadlines
  onWritten(lines: number): void
  /** `cause` is null where the buffer was full, else what the file said. */
  onDropped(lines: number, cause: unknown): void
}

/** Owns its file until `close`. */
export interface LineWriter {
  /** Takes one line of ASCII, its line feed included. */
  add(line: string): void
  /** Resolves once the file was opened anew; lines under way are in the old or the new file, never lost. */
  reopen(): Promise<void>
  /** Writes what is waiting, for two seconds at most, and closes the file. Lines added after that are dropped. */
  close(): Promise<void>
}

const batchBytes = 65_536
const batchMs = 100
const closeMs = 2000

export function createLineWriter(options: LineWriterOptions): LineWriter {
  const { file, bufferBytes, clock, deadlines } = options
  let waiting = ''
  let waitingLines = 0
  let writingBytes = 0
  let work: Promise<void> | null = null
  let isClosed = false
  const beat: Timed = { dueMs: Infinity, slot: -1, due: () => flush() }
  deadlines.add(beat)

  const flush = (): void => {
    beat.dueMs = Infinity
    if (work !== null || waiting === '') return
    const bytes = Buffer.from(waiting, 'latin1')
    const lines = waitingLines
    waiting = ''
    waitingLines = 0
    writingBytes = bytes.length
    const written = file.write(bytes).then(
      () => options.onWritten(lines),
      (cause: unknown) => options.onDropped(lines, cause),
    )
    run(written)
  }

  /** One piece of work on the file at a time. */
  const run = (piece: Promise<void>): void => {
    work = piece.finally(() => {
      work = null
      writingBytes = 0
      if (waiting.length >= batchBytes || isClosed) flush()
      else if (waiting !== '') beat.dueMs = clock.now() + batchMs
    })
  }

  const settle = async (): Promise<void> => {
    flush()
    while (work !== null) await work
  }

  return {
    add: line => {
      if (isClosed || waiting.length + writingBytes + line.length > bufferBytes) return options.onDropped(1, null)
      waiting += line
      waitingLines++
      if (waiting.length >= batchBytes) flush()
      else if (beat.dueMs === Infinity && work === null) beat.dueMs = clock.now() + batchMs
    },
    reopen: async () => {
      while (work !== null) await work
      if (isClosed) return
      const reopened = file.reopen()
      run(reopened.catch(() => {}))
      await reopened
    },
    close: async () => {
      if (isClosed) return
      isClosed = true
      deadlines.remove(beat)
      const isSettled = await beforeDue(settle(), clock.now() + closeMs, deadlines)
      if (!isSettled) options.onDropped(waitingLines, new Error(`the log took no lines for ${closeMs} ms`))
      waiting = ''
      waitingLines = 0
      // A write that hangs would keep the close waiting as well.
      if (isSettled) await file.close()
    },
  }
}

/** Whether the work ended before its time was up. */
function beforeDue(work: Promise<void>, dueMs: number, deadlines: Deadlines): Promise<boolean> {
  return new Promise(resolve => {
    const end: Timed = { dueMs, slot: -1, due: () => settle(false) }
    const settle = (isDone: boolean) => {
      deadlines.remove(end)
      resolve(isDone)
    }
    deadlines.add(end)
    void work.then(() => settle(true))
  })
}
