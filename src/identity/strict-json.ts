// JSON objects in which no name stands twice: parsers differ in which of two they take, so neither is good.

const depthMax = 16

/** Any value; undefined for what is no JSON in valid UTF-8, has a name twice in one object, or is nested more deeply. */
export function strictValue(bytes: Uint8Array, depth: number): unknown {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    const value: unknown = JSON.parse(text)
    return isStrict(text, depth) ? value : undefined
  } catch {
    return undefined
  }
}

/** The object; null for what is no JSON object in valid UTF-8, has a name twice, or is nested too deeply. */
export function strictObject(bytes: Uint8Array): Readonly<Record<string, unknown>> | null {
  const value = strictValue(bytes, depthMax)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null
  return value as Record<string, unknown>
}

const quote = 0x22
const backslash = 0x5c
const colon = 0x3a

/**
 * Walks over valid JSON by its tokens that matter: texts, and brackets.
 *
 * Hot: one pass by code units. A body of a megabyte may be all names.
 */
function isStrict(text: string, depth: number): boolean {
  const open: (Set<string> | null)[] = []
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    if (unit === 0x7b || unit === 0x5b) {
      if (open.push(unit === 0x7b ? new Set() : null) > depth) return false
    } else if (unit === 0x7d || unit === 0x5d) open.pop()
    else if (unit === quote) {
      const end = endOfText(text, at)
      const names = open.at(-1)
      if (names && isName(text, end) && !isNew(names, text.slice(at, end))) return false
      at = end - 1
    }
  }
  return true
}

/** Where the text that begins here ends, its quote included. */
function endOfText(text: string, start: number): number {
  let at = start + 1
  for (; text.charCodeAt(at) !== quote; at++) if (text.charCodeAt(at) === backslash) at++
  return at + 1
}

/** Whether a colon follows, behind however much white space. */
function isName(text: string, end: number): boolean {
  let at = end
  while (text.charCodeAt(at) <= 0x20) at++
  return text.charCodeAt(at) === colon
}

/** Names are the same that read the same, however they are escaped. */
function isNew(names: Set<string>, token: string): boolean {
  const name = token.includes('\\') ? (JSON.parse(token) as string) : token.slice(1, -1)
  const { size } = names
  return names.add(name).size > size
}
