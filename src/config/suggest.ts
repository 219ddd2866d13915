// Guesses which word was meant by one that is not known.

/** A sentence naming the nearest known word, or all of them when none is near. */
export function suggest(word: string, known: readonly string[], listIntro = 'Possible here'): string {
  const near = nearest(word, known)
  if (near !== null) return `Did you mean \`${near}\`?`
  if (known.length === 0) return ''
  return `${listIntro}: ${listOf(known, 'or')}.`
}

/** Words for a message: `a`, `b` and `c`, cut when there are very many. */
export function listOf(words: readonly string[], joint = 'and', wordsMax = 24): string {
  const shown = words.slice(0, wordsMax).map(word => `\`${word}\``)
  const rest = words.length - shown.length
  const all = rest > 0 ? [...shown, `${rest} more`] : shown
  if (all.length < 2) return all.join('')
  return `${all.slice(0, -1).join(', ')} ${joint} ${all.at(-1)}`
}

/** The known word that was most likely meant; null when none is near. */
export function nearest(word: string, known: readonly string[]): string | null {
  const wanted = word.slice(0, 64).toLowerCase()
  let best: string | null = null
  let bestDistance = Math.max(1, Math.floor(wanted.length / 3)) + 1
  for (const candidate of known) {
    if (Math.abs(candidate.length - wanted.length) >= bestDistance) continue
    const distance = editDistance(wanted, candidate.toLowerCase())
    if (distance < bestDistance && !differInDigits(wanted, candidate)) [best, bestDistance] = [candidate, distance]
  }
  return best
}

/** Whoever writes 404 does not mean 504; who writes 540 may. */
function differInDigits(wanted: string, candidate: string): boolean {
  const lower = candidate.toLowerCase()
  const isAlike = lower.replaceAll(/\d/g, '0') === wanted.replaceAll(/\d/g, '0')
  return isAlike && sorted(lower) !== sorted(wanted)
}

function sorted(text: string): string {
  return text.split('').sort().join('')
}

/** Damerau's distance with neighbouring letters swapped counting once (optimal string alignment). */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1
      let least = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + cost)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        least = Math.min(least, (beforeLast[j - 2] ?? 0) + 1)
      }
      row.push(least)
    }
    beforeLast = last
    last = row
  }
  return last[b.length] ?? 0
}
