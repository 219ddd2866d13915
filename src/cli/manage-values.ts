// Values of the management commands: `name=value` pairs, words with commas, and when something ends.

/** `gold,partners` as a list. */
export function wordsOf(value: unknown): string[] {
  return String(value)
    .split(',')
    .map(word => word.trim())
    .filter(word => word !== '')
}

export function labelsOf(value: unknown): Record<string, string> {
  return pairsOf(value, '--label')
}

/** `name=value` texts as a map. @throws Error for one without `=`. */
export function pairsOf(value: unknown, option: string): Record<string, string> {
  const texts = Array.isArray(value) ? value.map(String) : [String(value)]
  return Object.fromEntries(
    texts.map(text => {
      const at = text.indexOf('=')
      if (at < 1) throw new Error(`${option} ${text}: write it as name=value`)
      return [text.slice(0, at), text.slice(at + 1)]
    }),
  )
}

const unitMs: Readonly<Record<string, number>> = { s: 1e3, m: 60e3, h: 3600e3, d: 86_400e3 }

/** A duration from now as a point in time; anything else goes as it is, for the gateway to judge. `never` is null. */
export function expiryOf(text: string, nowMs: number): string | null {
  if (text === 'never') return null
  const [, count, unit = ''] = /^(\d{1,9})([smhd])$/.exec(text) ?? []
  if (count === undefined) return text
  const at = new Date(nowMs + Number(count) * (unitMs[unit] ?? 0))
  // Past the last day that a date can be.
  return Number.isNaN(at.getTime()) ? text : at.toISOString()
}
