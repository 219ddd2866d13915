// Looks through a JSON text (RFC 8259) for its form and its size, without building anything of it.

export interface JsonLimits {
  /** Objects and arrays inside each other. */
  readonly depth: number
  /** Members of one object. */
  readonly keys: number
  /** Items of one array. */
  readonly items: number
  /** Bytes of one string or name, as written. */
  readonly stringBytes: number
}

/** What is wrong, with the byte where it was seen; empty where nothing is. The bytes must be UTF-8. */
export function scanJson(bytes: Buffer, limits: JsonLimits): string {
  const scan = new JsonScan(bytes, limits)
  return scan.run() ? '' : `${scan.problem} at byte ${scan.at}`
}

const quote = 0x22
const open = { object: 0x7b, array: 0x5b } as const
const close = { object: 0x7d, array: 0x5d } as const
const comma = 0x2c
const colon = 0x3a
const backslash = 0x5c
const numberPattern = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y

class JsonScan {
  at = 0
  problem = 'malformed JSON'
  readonly #bytes: Buffer
  readonly #limits: JsonLimits
  /** Of each open container, innermost last: how many members so far, negative minus one for an array. */
  readonly #stack: number[] = []

  constructor(bytes: Buffer, limits: JsonLimits) {
    this.#bytes = bytes
    this.#limits = limits
  }

  run(): boolean {
    for (;;) {
      this.#space()
      const byte = this.#bytes[this.at]
      if (byte === open.object || byte === open.array) {
        if (this.#stack.length >= this.#limits.depth) return this.#no('too deep')
        this.at++
        this.#stack.push(byte === open.object ? 0 : -1)
        this.#space()
        const end = byte === open.object ? close.object : close.array
        if (this.#bytes[this.at] !== end) {
          if (!this.#member()) return false
          continue
        }
      } else if (!this.#scalar(byte)) return false
      // Here `at` stands behind a scalar, or on the end of an empty container.
      const next = this.#afterValue()
      if (next !== null) return next
    }
  }

  /** Closes what ends here. True: all is read; false: a mistake; null: another value follows. */
  #afterValue(): boolean | null {
    for (;;) {
      this.#space()
      const byte = this.#bytes[this.at]
      const count = this.#stack.at(-1)
      if (count === undefined) return this.at === this.#bytes.length
      if (byte === comma) {
        this.at++
        return this.#member() ? null : false
      }
      if (byte !== (count < 0 ? close.array : close.object)) return false
      this.#stack.pop()
      this.at++
    }
  }

  /** Counts a member of the innermost container, and reads its name where it is an object. */
  #member(): boolean {
    const top = this.#stack.length - 1
    const count = this.#stack[top] ?? 0
    if (count < 0) {
      this.#stack[top] = count - 1
      return -count <= this.#limits.items || this.#no('too many items')
    }
    this.#stack[top] = count + 1
    if (count >= this.#limits.keys) return this.#no('too many members')
    this.#space()
    if (this.#bytes[this.at] !== quote || !this.#string()) return false
    this.#space()
    return this.#bytes[this.at++] === colon
  }

  #scalar(byte: number | undefined): boolean {
    if (byte === quote) return this.#string()
    if (byte === 0x74) return this.#word('true')
    if (byte === 0x66) return this.#word('false')
    if (byte === 0x6e) return this.#word('null')
    return this.#number()
  }

  #word(word: string): boolean {
    if (this.#bytes.toString('latin1', this.at, this.at + word.length) !== word) return false
    this.at += word.length
    return true
  }

  #number(): boolean {
    let end = this.at
    while (isOfNumber(this.#bytes[end])) end++
    const text = this.#bytes.toString('latin1', this.at, end)
    numberPattern.lastIndex = 0
    if (text === '' || !numberPattern.test(text) || numberPattern.lastIndex !== text.length) return false
    this.at = end
    return true
  }

  #string(): boolean {
    const start = this.at + 1
    for (let i = start; i < this.#bytes.length; i++) {
      const byte = this.#bytes[i] as number
      if (byte === quote) {
        this.at = i + 1
        return i - start <= this.#limits.stringBytes || this.#no('a string is too long')
      }
      if (byte < 0x20) return false
      if (byte !== backslash) continue
      const escaped = this.#bytes[++i]
      if (escaped === 0x75) {
        if (!/^[0-9a-fA-F]{4}$/.test(this.#bytes.toString('latin1', i + 1, i + 5))) return false
        i += 4
      } else if (escaped === undefined || !'"\\/bfnrt'.includes(String.fromCharCode(escaped))) return false
    }
    return false
  }

  #space(): void {
    for (;;) {
      const byte = this.#bytes[this.at]
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return
      this.at++
    }
  }

  #no(problem: string): false {
    this.problem = problem
    return false
  }
}

function isOfNumber(byte: number | undefined): boolean {
  if (byte === undefined) return false
  return (byte >= 0x30 && byte <= 0x39) || [0x2b, 0x2d, 0x2e, 0x45, 0x65].includes(byte)
}
