// Patterns for texts: a plain text stands anywhere, one with `*` matches the whole. No regular expressions, so none can blow up.

/** Compares without regard to case; the text that is given must be in lower case already. */
export function compileWildcard(pattern: string): (lower: string) => boolean {
  const parts = pattern.toLowerCase().split('*')
  const [first = ''] = parts
  if (parts.length === 1) return lower => lower.includes(first)
  const last = parts.at(-1) ?? ''
  const middle = parts.slice(1, -1)
  return lower => {
    if (!lower.startsWith(first) || !lower.endsWith(last)) return false
    const end = lower.length - last.length
    let at = first.length
    for (const part of middle) {
      const found = lower.indexOf(part, at)
      if (found < 0) return false
      at = found + part.length
    }
    return at <= end
  }
}
