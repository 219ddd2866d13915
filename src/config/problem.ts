// What is wrong with a config: where it stands, the lines around it, and how to mend it.

/** One config file as it was read. */
export interface Source {
  /** Absolute path; what the file refers to is relative to its folder. */
  readonly path: string
  /** The path as the user wrote it, for messages. */
  readonly label: string
  readonly text: string
}

/** A piece of a source, as offsets into its text. */
export interface Span {
  readonly source: Source
  readonly start: number
  readonly end: number
}

/** The beginning of a piece that is too long to point at. */
export function headOf(span: Span): Span {
  return { ...span, end: span.start + 1 }
}

/** Line and column count from 1. */
export interface Position {
  readonly file: string
  readonly line: number
  readonly column: number
}

/** A mistake as a stage finds it. */
export interface Finding {
  readonly message: string
  /** How to mend it; empty where the message says it all. */
  readonly hint: string
  readonly span: Span | null
}

/** A mistake as it is shown. */
export interface Problem {
  readonly message: string
  readonly hint: string
  /** Null where no place in a file is to blame, such as a file that cannot be read. */
  readonly position: Position | null
  /** The line with the culprit marked by carets, and the line before it; empty without a position. */
  readonly frame: string
}

const frameWidthMax = 160

/** Turns findings into problems, in the order of files and lines, each place and message once. */
export function problemsOf(findings: readonly Finding[], sources: readonly Source[]): Problem[] {
  const order = new Map(sources.map((source, index) => [source, index]))
  const rank = (finding: Finding) => (finding.span === null ? -1 : (order.get(finding.span.source) ?? sources.length))
  const sorted = findings.toSorted((a, b) => rank(a) - rank(b) || (a.span?.start ?? 0) - (b.span?.start ?? 0))
  const seen = new Set<string>()
  const lineStarts = new Map<Source, number[]>()
  const problems: Problem[] = []
  for (const { message, hint, span } of sorted) {
    const key = `${span?.source.path}:${span?.start}:${message}`
    if (seen.has(key)) continue
    seen.add(key)
    if (span === null) {
      problems.push({ message, hint, position: null, frame: '' })
      continue
    }
    let starts = lineStarts.get(span.source)
    if (starts === undefined) lineStarts.set(span.source, (starts = lineStartsOf(span.source.text)))
    problems.push({ message, hint, position: positionIn(span, starts), frame: frameOf(span, starts) })
  }
  return problems
}

/** The problems as text for a terminal or a log, one block each. */
export function formatProblems(problems: readonly Problem[], { color = false } = {}): string {
  const paint = (code: string, text: string) => (color ? `\u001b[${code}m${text}\u001b[0m` : text)
  const blocks = problems.map(({ message, hint, position, frame }) => {
    const place = position === null ? '' : `${position.file}:${position.line}:${position.column}: `
    const lines = [`${paint('1', place)}${paint('1;31', message)}`]
    if (frame !== '') lines.push(frame.replace(/\^+$/, carets => paint('31', carets)))
    if (hint !== '') lines.push(`  ${paint('36', hint)}`)
    return `${lines.join('\n')}\n`
  })
  return blocks.join('\n')
}

/** Where a span begins. */
export function positionOf(span: Span): Position {
  return positionIn(span, lineStartsOf(span.source.text))
}

function positionIn(span: Span, starts: readonly number[]): Position {
  const line = lineAt(starts, span.start)
  return { file: span.source.label, line: line + 1, column: span.start - (starts[line] ?? 0) + 1 }
}

function frameOf(span: Span, starts: readonly number[]): string {
  const line = lineAt(starts, span.start)
  const textOf = (index: number) => {
    const raw = span.source.text.slice(starts[index], starts[index + 1] ?? span.source.text.length)
    return raw.replace(/[\r\n]+$/, '').replace(/[\p{Cc}\p{Cf}]/gu, ' ')
  }
  const digits = String(line + 1).length
  const row = (index: number) => `  ${String(index + 1).padStart(digits)} | ${textOf(index).slice(0, frameWidthMax)}`
  const text = textOf(line)
  const column = Math.min(span.start - (starts[line] ?? 0), frameWidthMax)
  const length = Math.max(1, Math.min(span.end - span.start, text.trimEnd().length - column, frameWidthMax - column))
  const marks = `  ${' '.repeat(digits)} | ${' '.repeat(column)}${'^'.repeat(length)}`
  const before = line > 0 && textOf(line - 1).trim() !== '' ? [row(line - 1)] : []
  return [...before, row(line), marks].join('\n')
}

function lineStartsOf(text: string): number[] {
  const starts = [0]
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) starts.push(at + 1)
  return starts
}

function lineAt(starts: readonly number[], offset: number): number {
  let low = 0
  let high = starts.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if ((starts[middle] ?? 0) <= offset) low = middle
    else high = middle - 1
  }
  return low
}
