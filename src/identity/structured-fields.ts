// Structured field values (RFC 9651 without dates and display strings, that is RFC 8941), read strictly and written canonically.

/** What an item may be. Numbers keep the text they are written as: `1` and `1.0` are two values. */
export type BareItem =
  | { readonly type: 'integer'; readonly value: number }
  | { readonly type: 'decimal'; readonly text: string }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'token'; readonly value: string }
  | { readonly type: 'bytes'; readonly value: Buffer }
  | { readonly type: 'boolean'; readonly value: boolean }

export type Parameters = ReadonlyMap<string, BareItem>

export interface Item {
  readonly bare: BareItem
  readonly parameters: Parameters
}

export interface InnerList {
  readonly items: readonly Item[]
  readonly parameters: Parameters
}

export type Member = Item | InnerList
export type Dictionary = ReadonlyMap<string, Member>

/**
 * The dictionary; null for what is none. RFC 8941 lets the last of two members or parameters of one name win: two readers that
 * disagree there would see two messages, so a name that stands twice is refused.
 */
export function readDictionary(text: string): Dictionary | null {
  return read(text, reader => {
    const members = new Map<string, Member>()
    if (reader.isAtEnd) return members
    do {
      const key = reader.key()
      if (members.has(key)) reader.fail()
      members.set(key, reader.take('=') ? reader.member() : { bare: isTrue, parameters: reader.parameters() })
    } while (reader.comma())
    return members
  })
}

export function readList(text: string): readonly Member[] | null {
  return read(text, reader => {
    const members: Member[] = []
    if (reader.isAtEnd) return members
    do members.push(reader.member())
    while (reader.comma())
    return members
  })
}

export function readItem(text: string): Item | null {
  return read(text, reader => reader.item())
}

export function isInnerList(member: Member): member is InnerList {
  return 'items' in member
}

/** RFC 8941 §4.1.2. */
export function writeDictionary(dictionary: Dictionary): string {
  return [...dictionary].map(([key, member]) => key + writeDictionaryMember(member)).join(', ')
}

export function writeList(members: readonly Member[]): string {
  return members.map(writeMember).join(', ')
}

export function writeMember(member: Member): string {
  return isInnerList(member) ? writeInnerList(member) : writeItem(member)
}

/** RFC 8941 §4.1.1.1. */
export function writeInnerList({ items, parameters }: InnerList): string {
  return `(${items.map(writeItem).join(' ')})${writeParameters(parameters)}`
}

export function writeItem({ bare, parameters }: Item): string {
  return writeBare(bare) + writeParameters(parameters)
}

export function writeString(text: string): string {
  return `"${text.replace(/[\\"]/g, '\\$&')}"`
}

const isTrue: BareItem = { type: 'boolean', value: true }

function writeDictionaryMember(member: Member): string {
  if (!isInnerList(member) && member.bare.type === 'boolean' && member.bare.value) {
    return writeParameters(member.parameters)
  }
  return `=${writeMember(member)}`
}

function writeParameters(parameters: Parameters): string {
  let text = ''
  for (const [key, bare] of parameters) {
    text += bare.type === 'boolean' && bare.value ? `;${key}` : `;${key}=${writeBare(bare)}`
  }
  return text
}

function writeBare(bare: BareItem): string {
  switch (bare.type) {
    case 'integer':
      return String(bare.value)
    case 'decimal':
      return bare.text
    case 'string':
      return writeString(bare.value)
    case 'token':
      return bare.value
    case 'bytes':
      return `:${bare.value.toString('base64')}:`
    default:
      return bare.value ? '?1' : '?0'
  }
}

class Malformed extends Error {}

function read<T>(text: string, run: (reader: Reader) => T): T | null {
  const reader = new Reader(text)
  try {
    reader.spaces()
    const value = run(reader)
    reader.spaces()
    return reader.isAtEnd ? value : null
  } catch (error) {
    if (error instanceof Malformed) return null
    throw error
  }
}

/** A place in a text; the algorithms of RFC 8941 §4.2. Each pattern is sticky and without a choice to come back to. */
class Reader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  get isAtEnd(): boolean {
    return this.#at === this.#text.length
  }

  fail(): never {
    throw new Malformed()
  }

  take(character: string): boolean {
    if (this.#text[this.#at] !== character) return false
    this.#at++
    return true
  }

  spaces(): void {
    while (this.#text[this.#at] === ' ') this.#at++
  }

  /** Whether a comma stands here, with another member behind it. */
  comma(): boolean {
    this.#optionalSpace()
    if (this.isAtEnd) return false
    if (!this.take(',')) this.fail()
    this.#optionalSpace()
    return !this.isAtEnd || this.fail()
  }

  key(): string {
    return this.#match(/[a-z*][a-z0-9_.*-]*/y)
  }

  member(): Member {
    return this.take('(') ? this.#innerList() : this.item()
  }

  item(): Item {
    return { bare: this.#bare(), parameters: this.parameters() }
  }

  parameters(): Parameters {
    const parameters = new Map<string, BareItem>()
    while (this.take(';')) {
      this.spaces()
      const key = this.key()
      if (parameters.has(key)) this.fail()
      parameters.set(key, this.take('=') ? this.#bare() : isTrue)
    }
    return parameters
  }

  #innerList(): InnerList {
    const items: Item[] = []
    for (;;) {
      this.spaces()
      if (this.take(')')) return { items, parameters: this.parameters() }
      items.push(this.item())
      const next = this.#text[this.#at]
      if (next !== ' ' && next !== ')') this.fail()
    }
  }

  #bare(): BareItem {
    const first = this.#text[this.#at] ?? ''
    if (first === '"') return { type: 'string', value: this.#string() }
    if (first === ':') return { type: 'bytes', value: this.#bytes() }
    if (first === '?') return { type: 'boolean', value: this.#match(/\?[01]/y) === '?1' }
    if (/[-0-9]/.test(first)) return this.#number()
    return { type: 'token', value: this.#match(/[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*/y) }
  }

  #string(): string {
    const quoted = this.#match(/"(?:[ !#-[\]-~]|\\["\\])*"/y)
    return quoted.slice(1, -1).replace(/\\(.)/g, '$1')
  }

  /** Base64 in its one right form: RFC 8941 lets padding and spare bits be lax, but one signature must not have two spellings. */
  #bytes(): Buffer {
    const text = this.#match(/:[A-Za-z0-9+/]*={0,2}:/y).slice(1, -1)
    const bytes = Buffer.from(text, 'base64')
    return bytes.toString('base64') === text ? bytes : this.fail()
  }

  #number(): BareItem {
    const text = this.#match(/-?[0-9]+(?:\.[0-9]+)?/y)
    if (this.#text[this.#at] === '.') this.fail()
    const [whole = '', fraction] = text.replace('-', '').split('.')
    if (fraction === undefined) {
      if (whole.length > 15) this.fail()
      return { type: 'integer', value: Number(text) + 0 }
    }
    if (whole.length > 12 || fraction.length > 3) this.fail()
    const digits = whole.replace(/^0+(?=\d)/, '')
    const kept = fraction.replace(/0+$/, '') || '0'
    return { type: 'decimal', text: `${text.startsWith('-') ? '-' : ''}${digits}.${kept}` }
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#text)?.[0]
    if (found === undefined || found === '') return this.fail()
    this.#at += found.length
    return found
  }

  #optionalSpace(): void {
    while (this.#text[this.#at] === ' ' || this.#text[this.#at] === '\t') this.#at++
  }
}
