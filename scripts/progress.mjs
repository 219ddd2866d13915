// What a person sees while something takes its time: one line per step, with a spinner on a terminal.

import process from 'node:process'

const frames = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏']
const isTerminal = process.stderr.isTTY && !process.env.CI && process.env.TERM !== 'dumb'
const hasColour = isTerminal && !process.env.NO_COLOR
const paint = (code, text) => (hasColour ? `\x1b[${code}m${text}\x1b[0m` : text)

/** Something a person has to mend. `hints` say how. */
export class SetupError extends Error {
  constructor(message, hints) {
    super(message)
    this.hints = hints
  }
}

/** Opens a step; exactly one of `done` and `fail` ends it. */
export function startStep(title) {
  const startedMs = Date.now()
  const seconds = () => `${((Date.now() - startedMs) / 1000).toFixed(1)} s`
  if (!isTerminal) process.stderr.write(`turnpike: ${title} …\n`)
  let frame = 0
  const timer = isTerminal
    ? setInterval(() => {
        frame = (frame + 1) % frames.length
        // A line that wraps could not be written over.
        const short = title.slice(0, Math.max(10, (process.stderr.columns || 80) - 12))
        process.stderr.write(`\r\x1b[K${paint(36, frames[frame])} ${short} ${paint(2, seconds())}`)
      }, 100)
    : null
  const end = (mark, colour, words) => {
    clearInterval(timer)
    if (isTerminal) process.stderr.write(`\r\x1b[K${paint(colour, mark)} ${title} ${paint(2, seconds())}\n`)
    else process.stderr.write(`turnpike: ${words} after ${seconds()}\n`)
  }
  return { done: () => end('✓', 32, 'done'), fail: () => end('✗', 31, 'failed') }
}

/** Prints what went wrong and how to mend it. */
export function printError(error) {
  process.stderr.write(`\n${paint(31, 'turnpike:')} ${error.message}\n`)
  for (const hint of error.hints ?? []) process.stderr.write(`  ${hint}\n`)
}
