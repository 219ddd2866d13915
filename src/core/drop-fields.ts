// Takes fields off a call by their names, in every spelling that an upstream may read as the same.

import type { Call } from './call.ts'

/** Nothing is done where no name is given. */
export function compileDrop(names: readonly string[]): (call: Call) => void {
  const plain = new Set(names.map(name => plainName(name.toLowerCase())))
  return ({ headers: { list } }) => {
    if (plain.size === 0) return
    for (let i = list.length - 2; i > 0; i -= 3) if (plain.has(plainName(list[i] as string))) list.splice(i - 1, 3)
  }
}

/** An upstream may read `X_Consumer` and `X-Consumer` as one name (CGI does). `key` is in lower case. */
export function plainName(key: string): string {
  return key.includes('_') ? key.replaceAll('_', '-') : key
}
