// A body in base64, decoded as it comes.

import { Failure } from '../../core/failure.ts'
import type { Outlet, Transform } from '../../core/transform-body.ts'

/** Groups of four are decoded each for itself: senders may pad between messages. */
export function decodeBase64(): Transform {
  /** Up to three characters whose group is not complete. */
  let rest = ''
  return {
    write(chunk, out) {
      const text = rest + chunk.toString('latin1').replace(/[\r\n]/g, '')
      const length = text.length - (text.length % 4)
      rest = text.slice(length)
      const decoded = decode(text.slice(0, length))
      if (decoded !== null) return decoded.length === 0 || out.pass(decoded)
      refuse(out)
      return false
    },
    end(trailers, out) {
      if (rest === '') out.finish(trailers)
      else refuse(out)
    },
  }
}

function refuse(out: Outlet): void {
  out.cut(new Failure('body-refused', { detail: 'the body is not base64' }))
}

/** Null for what is no base64. */
function decode(text: string): Buffer | null {
  if (text === '') return Buffer.alloc(0)
  if (!/^(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)*$/.test(text)) return null
  if (!text.slice(0, -2).includes('=')) return Buffer.from(text, 'base64')
  return Buffer.concat((text.match(/[^=]+={0,2}/g) ?? []).map(piece => Buffer.from(piece, 'base64')))
}
