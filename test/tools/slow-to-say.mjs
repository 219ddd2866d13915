// Loaded into a gateway before all else: lets it stand still for a moment right after it has said that it is ready, or that it drains.

import fs from 'node:fs'

const stillMs = 500
const { writeSync } = fs

fs.writeSync = (...args) => {
  const written = writeSync(...args)
  if (/turnpike is ready|draining/.test(String(args[1]))) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, stillMs)
  }
  return written
}
