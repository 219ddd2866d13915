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
  let value: unknown
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    value = JSON.parse(text)
  } catch {
    return null
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value) || !isStrict(text, depthMax)) return null
  return value as Record<string, unknown>
}

/** Walks over valid JSON by its tokens that matter: texts, and brackets. */
function isStrict(text: string, depth: number): boolean {
  const open: (Set<string> | null)[] = []
  for (const { 0: token, index } of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\]]/g)) {
    if (token === '{' || token === '[') {
      if (open.push(token === '{' ? new Set() : null) > depth) return false
    } else if (token === '}' || token === ']') open.pop()
    else {
      const names = open.at(-1)
      if (!names || !/^[ \t\r\n]*:/.test(text.slice(index + token.length, index + token.length + 64))) continue
      const name = JSON.parse(token) as string
      if (names.has(name)) return false
      names.add(name)
    }
  }
  return true
}
