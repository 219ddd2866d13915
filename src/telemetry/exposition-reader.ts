// For tests: reads Prometheus text and OpenMetrics character by character, sharing nothing with the writer.

export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export interface Exposition {
  /** Family name to type. */
  readonly types: ReadonlyMap<string, string>
  readonly units: ReadonlyMap<string, string>
  readonly samples: readonly Sample[]
  readonly hasEnd: boolean
}

/** Throws on anything that is not well-formed. */
export function readExposition(text: string): Exposition {
  if (!text.endsWith('\n')) throw new Error('the last line has no end')
  const types = new Map<string, string>()
  const units = new Map<string, string>()
  const samples: Sample[] = []
  let hasEnd = false
  for (const line of text.slice(0, -1).split('\n')) {
    if (hasEnd) throw new Error('something follows # EOF')
    const [, kind, name = '', rest = ''] = /^# (TYPE|UNIT|HELP) (\S+) (.+)$/.exec(line) ?? []
    if (line === '# EOF') hasEnd = true
    else if (kind === 'TYPE') addOnce(types, name, rest)
    else if (kind === 'UNIT') addOnce(units, name, rest)
    else if (kind !== 'HELP') samples.push(readSample(line))
  }
  return { types, units, samples, hasEnd }
}

function addOnce(map: Map<string, string>, name: string, value: string): void {
  if (map.has(name)) throw new Error(`${name} stands there twice`)
  map.set(name, value)
}

function readSample(line: string): Sample {
  const name = /^[a-zA-Z_:][a-zA-Z0-9_:]*/.exec(line)?.[0]
  if (name === undefined) throw new Error(`no sample: ${line}`)
  const labels: Record<string, string> = {}
  let at = name.length
  if (line[at] === '{') {
    do {
      const label = /^[a-zA-Z_][a-zA-Z0-9_]*(?==")/.exec(line.slice(at + 1))?.[0]
      if (label === undefined || label in labels) throw new Error(`a broken label: ${line}`)
      const value = readQuoted(line, at + 1 + label.length + 1)
      labels[label] = value.text
      at = value.end
    } while (line[at] === ',')
    if (line[at] !== '}') throw new Error(`labels without an end: ${line}`)
    at++
  }
  const number = line.slice(at)
  if (!/^ (\+Inf|-Inf|NaN|-?\d+(\.\d+)?(e[+-]?\d+)?)$/.test(number)) throw new Error(`no number: ${line}`)
  return { name, labels, value: Number(number.trim().replace('Inf', 'Infinity')) }
}

/** `at` is the opening quote. */
function readQuoted(line: string, at: number): { text: string; end: number } {
  let text = ''
  for (let i = at + 1; i < line.length; i++) {
    const character = line[i]
    if (character === '"') return { text, end: i + 1 }
    if (character !== '\\') text += character
    else {
      i++
      const escaped = { n: '\n', '\\': '\\', '"': '"' }[line[i] ?? '']
      if (escaped === undefined) throw new Error(`a broken escape: ${line}`)
      text += escaped
    }
  }
  throw new Error(`a quote without an end: ${line}`)
}
