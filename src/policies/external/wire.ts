// The wire format of protocol buffers: fields to bytes and back. Texts are octets in Latin-1 strings, as values of headers are.

/** A number where the field is a varint, else its bytes. Fields of fixed width are skipped: no message that is read has any. */
export type WireValue = number | Buffer

/**
 * Calls `take` with each field of a message in the order they stand. Groups, which nothing here knows, are skipped whole.
 *
 * A varint above 2^53 loses its low digits, but never becomes zero or small.
 * @throws Error for bytes that are no message.
 */
export function readFields(bytes: Buffer, take: (field: number, value: WireValue) => void): void {
  const groups: number[] = []
  let at = 0
  const varint = (): number => {
    let value = 0
    for (let scale = 1, count = 1; count <= 10; scale *= 128, count++) {
      const octet = bytes[at++]
      if (octet === undefined) throw malformed('it ends within a number')
      value += (octet & 127) * scale
      if (octet < 128) return value
    }
    throw malformed('a number is longer than ten bytes')
  }
  const slice = (length: number): Buffer => {
    const end = at + length
    if (end > bytes.length) throw malformed('a field is longer than the message')
    const part = bytes.subarray(at, end)
    at = end
    return part
  }
  while (at < bytes.length) {
    const tag = varint()
    const field = Math.floor(tag / 8)
    if (field === 0 || field > fieldMax) throw malformed('a field has an impossible number')
    const type = tag % 8
    if (type === 3) groups.push(field)
    else if (type === 4) {
      if (groups.pop() !== field) throw malformed('a group ends that did not begin')
    } else {
      const value = readValue(type, varint, slice)
      if (value !== null && groups.length === 0) take(field, value)
    }
  }
  if (groups.length > 0) throw malformed('a group does not end')
}

const fieldMax = 2 ** 29 - 1

function readValue(type: number, varint: () => number, slice: (length: number) => Buffer): WireValue | null {
  if (type === 0) return varint()
  if (type === 2) return slice(varint())
  if (type !== 1 && type !== 5) throw malformed('a field is of an unknown type')
  slice(type === 1 ? 8 : 4)
  return null
}

function malformed(what: string): Error {
  return new Error(`the message is malformed: ${what}`)
}

/** A field of text, bytes or a message, also where it is empty. */
export function bytesField(field: number, octets: string): string {
  return varint(field * 8 + 2) + varint(octets.length) + octets
}

/** A field of text that is left out where it is empty, which means the same in proto3. */
export function textField(field: number, octets: string): string {
  return octets === '' ? '' : bytesField(field, octets)
}

/** A field of a whole number, left out where it is zero; -1 is the only negative one. */
export function numberField(field: number, value: number): string {
  return value === 0 ? '' : varint(field * 8) + (value === -1 ? minusOne : varint(value))
}

/** A `map<string, string>`: a message of key and value for each entry. */
export function mapField(field: number, entries: Iterable<readonly [string, string]>): string {
  let octets = ''
  for (const [key, value] of entries) octets += bytesField(field, textField(1, key) + textField(2, value))
  return octets
}

/** Two's complement of 64 bits: ten bytes. */
const minusOne = '\xff'.repeat(9) + '\x01'

function varint(value: number): string {
  let octets = ''
  let rest = value
  for (; rest > 127; rest = Math.floor(rest / 128)) octets += String.fromCharCode((rest % 128) | 128)
  return octets + String.fromCharCode(rest)
}

/** Unicode text as the octets of its UTF-8. */
export function octetsOf(text: string): string {
  return isAscii(text) ? text : Buffer.from(text, 'utf8').toString('latin1')
}

/** Octets such as a client may send, with U+FFFD for what is not UTF-8: a field of text holds nothing else. */
export function utf8(octets: string): string {
  return isAscii(octets) ? octets : octetsOf(Buffer.from(octets, 'latin1').toString('utf8'))
}

function isAscii(text: string): boolean {
  return /^[^\u0080-\uffff]*$/.test(text)
}
