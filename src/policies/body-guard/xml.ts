// Looks through an XML text for its form and its size. Whatever needs a DTD is refused, so no entity can be declared or expanded.

export interface XmlLimits {
  /** Elements inside each other. */
  readonly depth: number
  /** Attributes of one element. */
  readonly attributes: number
  /** Elements in all. */
  readonly elements: number
}

const name = '[A-Za-z_:\\u0080-\\uffff][A-Za-z0-9_:.\\u0080-\\uffff-]*'
const declaration = /<\?xml[ \t\r\n][^<>?]*\?>/y
const encoding = /[ \t\r\n]encoding[ \t\r\n]*=[ \t\r\n]*["']([^"']*)["']/
const comment = '<!--'
const section = '<![CDATA['
const tagStart = new RegExp(`<(${name})`, 'y')
const tagEnd = new RegExp(`</(${name})[ \\t\\r\\n]*>`, 'y')
const attribute = new RegExp(`[ \\t\\r\\n]+(${name})[ \\t\\r\\n]*=[ \\t\\r\\n]*("[^"<]*"|'[^'<]*')`, 'y')
const references = /&(?!(?:amp|lt|gt|apos|quot|#[0-9]{1,7}|#x[0-9a-fA-F]{1,6});)/
// Control characters that XML 1.0 does not know.
const forbidden = /[\0-\b\v\f\x0e-\x1f\ufffe\uffff]/

/** What is wrong, with the character where it was seen; empty where nothing is. */
export function scanXml(given: string, limits: XmlLimits): string {
  const text = given.startsWith('\ufeff') ? given.slice(1) : given
  if (forbidden.test(text)) return 'a forbidden character'
  const scan = new XmlScan(text, limits)
  return scan.run() ? '' : `${scan.problem} at character ${scan.at}`
}

class XmlScan {
  at = 0
  problem = 'malformed XML'
  readonly #text: string
  readonly #limits: XmlLimits
  readonly #open: string[] = []
  #elements = 0

  constructor(text: string, limits: XmlLimits) {
    this.#text = text
    this.#limits = limits
  }

  run(): boolean {
    if (this.#text.startsWith('<?') && !this.#declaration()) return false
    while (this.at < this.#text.length) {
      if (!(this.#text[this.at] === '<' ? this.#markup() : this.#characters())) return false
    }
    return this.#open.length === 0 && this.#elements > 0
  }

  #declaration(): boolean {
    const found = this.#match(declaration)
    if (found === null) return false
    const written = encoding.exec(found[0])?.[1]?.toLowerCase() ?? 'utf-8'
    return written === 'utf-8' || written === 'us-ascii' || this.#no('an encoding other than UTF-8')
  }

  #characters(): boolean {
    const next = this.#text.indexOf('<', this.at)
    const end = next < 0 ? this.#text.length : next
    const part = this.#text.slice(this.at, end)
    if (this.#open.length === 0 && /[^ \t\r\n]/.test(part)) return false
    if (references.test(part)) return this.#no('an entity')
    if (part.includes(']]>')) return false
    this.at = end
    return true
  }

  #markup(): boolean {
    const text = this.#text
    if (text.startsWith('</', this.at)) {
      const found = this.#match(tagEnd)
      return found !== null && this.#open.pop() === found[1]
    }
    if (text.startsWith(comment, this.at)) {
      const end = text.indexOf('--', this.at + comment.length)
      if (end < 0 || text[end + 2] !== '>') return false
      this.at = end + 3
      return true
    }
    if (text.startsWith(section, this.at)) {
      const end = text.indexOf(']]>', this.at)
      if (end < 0 || this.#open.length === 0) return false
      this.at = end + 3
      return true
    }
    if (text.startsWith('<!', this.at)) return this.#no('a document type')
    if (text.startsWith('<?', this.at)) return this.#no('a processing instruction')
    return this.#element()
  }

  #element(): boolean {
    const found = this.#match(tagStart)
    const tag = found?.[1]
    if (tag === undefined) return false
    // One root element.
    if (this.#open.length === 0 && this.#elements > 0) return false
    if (++this.#elements > this.#limits.elements) return this.#no('too many elements')
    if (this.#open.length >= this.#limits.depth) return this.#no('too deep')
    const names = new Set<string>()
    for (let given = this.#match(attribute); given !== null; given = this.#match(attribute)) {
      const [, key = '', value = ''] = given
      if (names.has(key)) return this.#no('an attribute twice')
      if (names.add(key).size > this.#limits.attributes) return this.#no('too many attributes')
      if (references.test(value)) return this.#no('an entity')
    }
    while (/[ \t\r\n]/.test(this.#text.charAt(this.at))) this.at++
    if (this.#text.startsWith('/>', this.at)) this.at += 2
    else if (this.#text[this.at] === '>') {
      this.at++
      this.#open.push(tag)
    } else return false
    return true
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.at
    const found = pattern.exec(this.#text)
    if (found !== null) this.at += found[0].length
    return found
  }

  #no(problem: string): false {
    this.problem = problem
    return false
  }
}
