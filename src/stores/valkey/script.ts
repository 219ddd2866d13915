// What is run inside the store, by its digest where the store has it already.

import { createHash } from 'node:crypto'

export interface Script {
  readonly text: string
  readonly sha: string
}

export const scriptOf = (text: string): Script => ({ text, sha: createHash('sha1').update(text).digest('hex') })
