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

export interface LineWriterOptions<T> {
  readonly file: LineFile
  /** Writes the line of an event from `at` on, its line feed included, and returns its end. `lineBytesMax` have room. */
  readonly format: (event: T, bytes: Buffer, at: number) => number
  /** Bytes waiting or being written; a line that does not fit is dropped. */
  readonly bufferBytes: number
  readonly clock: Clock
  readonly deadlines: Deadlines
  readonly onWritten: (lines: number) => void
  /** `cause` is null where the buffer was full, else what the file said. */
  readonly onDropped: (lines: number, cause: unknown) => void
}

/** So many bytes are written at once: with 64 kB, waking the thread that writes was half of what writing costs (bench/NOTES.md). */
const batchBytesMax = 262_144
const batchMs = 100
const closeMs = 2000
/** The longest line, its end included: what POSIX writes to a pipe in one piece (PIPE_BUF on Linux). */
export const lineBytesMax = 4096

/** Lines that wait to be written, as bytes. */
interface Batch {
  readonly bytes: Buffer
  used: number
  lines: number
}

/**
 * Owns its file until `close`.
 *
 * Hot path: a line becomes bytes at once. As texts, a batch of lines and all that they were joined of would outlive several
 * collections of the nursery and be copied by each.
 */
export class LineWriter<T> {
  readonly #options: LineWriterOptions<T>
  /** A batch of so many bytes is not added to. A quarter of what may wait, so that the next ones have room while it is written. */
  readonly #batchBytes: number
  readonly #beat: Timed = { dueMs: Infinity, slot: -1, due: () => this.#flush() }
  #filling: Batch | null = null
  /** Batches behind the one that is being written, oldest first. */
  readonly #full: Batch[] = []
  /** A buffer that was written and can be filled again. */
  #spare: Buffer | null = null
  /** Bytes that wait or are being written. */
  #heldBytes = 0
  /** One piece of work on the file at a time; null while there is none. */
  #work: Promise<void> | null = null
  #isClosed = false

  constructor(options: LineWriterOptions<T>) {
    this.#options = options
    this.#batchBytes = Math.min(batchBytesMax, Math.max(lineBytesMax, Math.floor(options.bufferBytes / 4)))
    options.deadlines.add(this.#beat)
  }

  add(event: T): void {
    const { bufferBytes, format, onDropped } = this.#options
    if (this.#isClosed) return onDropped(1, null)
    const batch = (this.#filling ??= this.#newBatch())
    const end = format(event, batch.bytes, batch.used)
    const length = end - batch.used
    if (this.#heldBytes + length > bufferBytes) return onDropped(1, null)
    batch.used = end
    batch.lines++
    this.#heldBytes += length
    if (end < this.#batchBytes) return this.#schedule()
    this.#full.push(batch)
    this.#filling = null
    this.#flush()
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
    let lines = this.#filling?.lines ?? 0
    for (const batch of this.#full) lines += batch.lines
    onDropped(lines, new Error(`the log took no lines for ${closeMs} ms`))
    this.#filling = null
    this.#full.length = 0
  }

  #newBatch(): Batch {
    const bytes = this.#spare ?? Buffer.allocUnsafeSlow(this.#batchBytes + lineBytesMax)
    this.#spare = null
    return { bytes, used: 0, lines: 0 }
  }

  #schedule(): void {
    if (this.#beat.dueMs === Infinity && this.#work === null) this.#beat.dueMs = this.#options.clock.now() + batchMs
  }

  #flush(): void {
    this.#beat.dueMs = Infinity
    if (this.#work !== null) return
    const batch = this.#full.shift() ?? this.#filling
    if (batch === null || batch.lines === 0) return
    if (batch === this.#filling) this.#filling = null
    const { file, onWritten, onDropped } = this.#options
    const written = file.write(batch.bytes.subarray(0, batch.used)).then(
      () => onWritten(batch.lines),
      (cause: unknown) => onDropped(batch.lines, cause),
    )
    this.#run(
      written.finally(() => {
        this.#heldBytes -= batch.used
        this.#spare = batch.bytes
      }),
    )
  }

  #run(piece: Promise<void>): void {
    this.#work = piece.finally(() => {
      this.#work = null
      if (this.#full.length > 0 || this.#isClosed) this.#flush()
      else if (this.#filling !== null && this.#filling.lines > 0) this.#schedule()
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
