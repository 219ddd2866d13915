// Takes fields off a call by their names, in every spelling that an upstream may read as the same.

import type { Call } from './call.ts'
import type { Headers } from './headers.ts'
import { type Transform, transformBody } from './transform-body.ts'

/** Off the fields and the trailers, which an upstream may merge (RFC 9110 §6.5.1). Nothing is done where no name is given. */
export function compileDrop(names: readonly string[]): (call: Call) => void {
  const plain = new Set(names.map(name => plainName(name.toLowerCase())))
  if (plain.size === 0) return () => {}
  const drop = ({ list }: Headers) => {
    for (let i = list.length - 2; i > 0; i -= 3) if (plain.has(plainName(list[i] as string))) list.splice(i - 1, 3)
  }
  const dropOfTrailers: Transform = {
    end(trailers, out) {
      if (trailers !== null) drop(trailers)
      out.finish(trailers?.size === 0 ? null : trailers)
    },
  }
  return call => {
    drop(call.headers)
    const { body } = call
    // A body whose length is known has no trailers over HTTP/1.1, but may have some over HTTP/2 (RFC 9113 §8.1).
    const mayHaveTrailers = body.length < 0 || (call.protocol === 'HTTP/2' && !body.isEmpty)
    if (mayHaveTrailers && !body.isUsed) call.body = transformBody(body, dropOfTrailers)
  }
}

/** An upstream may read `X_Consumer` and `X-Consumer` as one name (CGI does). `key` is in lower case. */
export function plainName(key: string): string {
  return key.includes('_') ? key.replaceAll('_', '-') : key
}
