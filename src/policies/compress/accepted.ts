// Which content coding a client wants, by its Accept-Encoding (RFC 9110 §12.5.3).

/** The codings of the list that the client takes with the highest weight; among equals the first. Empty for none of them. */
export function chooseCoding<T extends string>(field: string, offered: readonly T[]): T | '' {
  const weights = weightsOf(field)
  const any = weights.get('*') ?? 0
  const weightOf = (coding: string) => weights.get(coding) ?? any
  let best: T | '' = ''
  // Identity that is not named is taken, but nobody asked for it: any coding that is taken at all goes before it.
  let bestWeight = weights.get('identity') ?? 0
  for (const coding of offered) {
    const weight = weightOf(coding)
    const isBetter = best === '' ? weight >= bestWeight && weight > 0 : weight > bestWeight
    if (!isBetter) continue
    best = coding
    bestWeight = weight
  }
  return best
}

/** Where a coding is named twice, the first counts. What is malformed is not there. */
function weightsOf(field: string): Map<string, number> {
  const weights = new Map<string, number>()
  for (const part of field.toLowerCase().split(',')) {
    const [name = '', ...parameters] = part.split(';').map(text => text.trim())
    const weight = weightIn(parameters)
    if (name === '' || weight === null) continue
    const coding = name === 'x-gzip' ? 'gzip' : name
    if (!weights.has(coding)) weights.set(coding, weight)
  }
  return weights
}

/** 1 where none is given; null for one that is malformed. */
function weightIn(parameters: readonly string[]): number | null {
  for (const parameter of parameters) {
    const [key, value = ''] = parameter.split('=', 2).map(text => text.trim())
    if (key === 'q') return /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(value) ? Number(value) : null
  }
  return 1
}
