// Header fields as they came: original order and case, duplicates kept, looked up by lower-cased name.

/**
 * A list of header fields.
 *
 * Hot path: one flat array of (name, key, value) triples, because a field is read far more often than it is changed and an
 * object per field costs more than the whole serialisation. `key` is the lower-cased name; the codec interns it, so that
 * comparing it is comparing a pointer.
 */
export class Headers {
  /** Triples of name as sent, name in lower case, value. Read it in loops; change it through the methods. */
  readonly list: string[]

  constructor(list: string[] = []) {
    this.list = list
  }

  /** Number of fields, duplicates counted. */
  get size(): number {
    return this.list.length / 3
  }

  /** Fields from `[name, value]` pairs or a plain object, in that order. */
  static of(fields: Iterable<readonly [string, string]> | Record<string, string>): Headers {
    const headers = new Headers()
    const pairs = Symbol.iterator in fields ? fields : Object.entries(fields)
    for (const [name, value] of pairs) headers.add(name, value)
    return headers
  }

  /** The first value of a field, or undefined. `key` is the name in lower case. */
  get(key: string): string | undefined {
    const list = this.list
    for (let i = 1; i < list.length; i += 3) if (list[i] === key) return list[i + 1]
    return undefined
  }

  /** Every value of a field, in order. `key` is the name in lower case. */
  all(key: string): string[] {
    const values: string[] = []
    const list = this.list
    for (let i = 1; i < list.length; i += 3) if (list[i] === key) values.push(list[i + 1] as string)
    return values
  }

  has(key: string): boolean {
    const list = this.list
    for (let i = 1; i < list.length; i += 3) if (list[i] === key) return true
    return false
  }

  /** Appends a field, keeping those of the same name. */
  add(name: string, value: string): void {
    this.list.push(name, name.toLowerCase(), value)
  }

  /** Replaces every field of this name by one, at the place of the first. */
  set(name: string, value: string): void {
    const key = name.toLowerCase()
    const list = this.list
    for (let i = 1; i < list.length; i += 3) {
      if (list[i] !== key) continue
      list[i + 1] = value
      this.#deleteFrom(i + 2, key)
      return
    }
    list.push(name, key, value)
  }

  /** Removes every field of this name; `key` is the name in lower case. */
  delete(key: string): void {
    this.#deleteFrom(0, key)
  }

  clone(): Headers {
    return new Headers(this.list.slice())
  }

  /** Iterates `[name as sent, value]`. Convenient, not for the hot path. */
  *[Symbol.iterator](): Generator<[string, string]> {
    for (let i = 0; i < this.list.length; i += 3) yield [this.list[i] as string, this.list[i + 2] as string]
  }

  /** `from` is the index of a triple's start. */
  #deleteFrom(from: number, key: string): void {
    const list = this.list
    const { length } = list
    let kept = from
    for (let i = from; i < length; i += 3) {
      if (list[i + 1] === key) continue
      if (kept !== i) {
        list[kept] = list[i] as string
        list[kept + 1] = list[i + 1] as string
        list[kept + 2] = list[i + 2] as string
      }
      kept += 3
    }
    // Writing `length` would leave compiled code: 30 ns, also where nothing is removed.
    for (let left = length; left > kept; left--) list.pop()
  }
}
