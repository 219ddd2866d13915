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
  readonly onWritten: (lines: number) => void
  /** `cause` is null where the buffer was full, else what the file said. */
  readonly onDropped: (lines: number, cause: unknown) => void
}

const batchBytes = 65_536
const batchMs = 100
const closeMs = 2000

/** Owns its file until `close`. */
export class LineWriter {
  readonly #options: LineWriterOptions
  readonly #beat: Timed = { dueMs: Infinity, slot: -1, due: () => this.#flush() }
  #waiting = ''
  #waitingLines = 0
  #writingBytes = 0
  /** One piece of work on the file at a time; null while there is none. */
  #work: Promise<void> | null = null
  #isClosed = false

  constructor(options: LineWriterOptions) {
    this.#options = options
    options.deadlines.add(this.#beat)
  }

  /** Takes one line of ASCII, its line feed included. */
  add(line: string): void {
    const { bufferBytes, onDropped } = this.#options
    if (this.#isClosed || this.#waiting.length + this.#writingBytes + line.length > bufferBytes) {
      return onDropped(1, null)
    }
    this.#waiting += line
    this.#waitingLines++
    if (this.#waiting.length >= batchBytes) this.#flush()
    else this.#schedule()
  }

  /** Resolves once the file was opened anew; lines under way are in the old or the new file, never lost. */
  async reopen(): Promise<void> {
    await this.#idle()
    if (this.#isClosed) return
    const reopened = this.#options.file.reopen()
    this.#run(reopened.catch(() => {}))
    await reopened
  }

  /** Writes what is waiting, for two seconds at most, and closes the file. Lines added after that are dropped. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    const { file, clock, deadlines, onDropped } = this.#options
    this.#isClosed = true
    deadlines.remove(this.#beat)
    this.#flush()
    const isWritten = await beforeDue(this.#idle(), clock.now() + closeMs, deadlines)
    // A write that hangs would keep the file from closing as well.
    if (isWritten) return file.close()
    onDropped(this.#waitingLines, new Error(`the log took no lines for ${closeMs} ms`))
    this.#waiting = ''
  }

  #schedule(): void {
    if (this.#beat.dueMs === Infinity && this.#work === null) this.#beat.dueMs = this.#options.clock.now() + batchMs
  }

  #flush(): void {
    this.#beat.dueMs = Infinity
    if (this.#work !== null || this.#waiting === '') return
    const { file, onWritten, onDropped } = this.#options
    const bytes = Buffer.from(this.#waiting, 'latin1')
    const lines = this.#waitingLines
    this.#waiting = ''
    this.#waitingLines = 0
    this.#writingBytes = bytes.length
    this.#run(
      file.write(bytes).then(
        () => onWritten(lines),
        (cause: unknown) => onDropped(lines, cause),
      ),
    )
  }

  #run(piece: Promise<void>): void {
    this.#work = piece.finally(() => {
      this.#work = null
      this.#writingBytes = 0
      if (this.#waiting.length >= batchBytes || this.#isClosed) this.#flush()
      else if (this.#waiting !== '') this.#schedule()
    })
  }

  /** Resolves when no work is left. */
  async #idle(): Promise<void> {
    while (this.#work !== null) await this.#work
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
