// How long a text a regular expression may be tried on, so that trying stays short: V8 backtracks.
//
// The expression is read as a sequence of atoms. Every repetition whose end is not plain from the next character lets the
// matcher try many ends; the number of these is the exponent of the time it may take. A repetition around another variable
// part, or around alternatives, may take exponential time, and gets no bound but zero, unless each round starts with a
// character that nothing else in the round matches.

const stepsMax = 1e7
const charactersMax = 10_000
/** With a smaller bound the expression is of no use. */
const charactersMin = 16

export interface PatternBound {
  /** Characters of the longest text to try the expression on; 0 where none is safe. */
  readonly charactersMax: number
  /** How many steps a text of this length may take at most. */
  steps(characters: number): number
}

/** `source` must be valid with the flag `u`. */
export function patternBound(source: string): PatternBound {
  try {
    const reader = new Reader(source)
    const { nodes } = reader.alternatives()
    const isAnchored = source.startsWith('^') && nodes.length === 1
    const { exponent, scans, bits } = costOf(nodes, none)
    const starts = isAnchored || exponent + scans === 0 ? 0 : 1
    const power = Math.max(1, exponent + scans + starts)
    const bound = Math.floor((stepsMax / 2 ** bits) ** (1 / power))
    return {
      charactersMax: bound < charactersMin ? 0 : Math.min(charactersMax, bound),
      steps: characters => 2 ** bits * characters ** power,
    }
  } catch (error) {
    if (error instanceof Unsafe) return { charactersMax: 0, steps: () => Infinity }
    throw error
  }
}

class Unsafe extends Error {}

type Node =
  | { readonly kind: 'one'; readonly set: Uint8Array; readonly repeat: Repeat }
  | { readonly kind: 'group'; readonly branches: readonly (readonly Node[])[]; readonly repeat: Repeat }
  /** Looking ahead or back: it moves nothing, but takes time of its own. */
  | { readonly kind: 'look'; readonly branches: readonly (readonly Node[])[] }
  | { readonly kind: 'end' }
  | { readonly kind: 'edge' }

interface Repeat {
  readonly min: number
  readonly max: number
}

const once: Repeat = { min: 1, max: 1 }

/** Characters that sets are told apart by: all of ASCII, and one for everything else. */
const samples = [
  ...Array.from({ length: 128 }, (_, code) => String.fromCharCode(code)),
  'é',
  'ſ',
  'K',
  '中',
  '\u2028',
  '\u{1f600}',
]

function setOf(atom: string): Uint8Array {
  const regExp = new RegExp(`^(?:${atom})$`, 'su')
  const set = Uint8Array.from(samples, sample => (regExp.test(sample) ? 1 : 0))
  // The few samples beyond ASCII cannot tell apart what is named there.
  return /[^\0-\x7f]|\\[pPux]/.test(atom) ? set.fill(1, 128) : set
}

const none = new Uint8Array(samples.length)

function union(a: Uint8Array, b: Uint8Array): Uint8Array {
  return a.map((is, index) => is | (b[index] ?? 0))
}

function areDisjoint(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((is, index) => is === 0 || b[index] === 0)
}

class Reader {
  #at = 0
  readonly #source: string

  constructor(source: string) {
    this.#source = source
  }

  alternatives(): { readonly nodes: readonly (readonly Node[])[] } {
    const nodes: Node[][] = [[]]
    while (this.#at < this.#source.length && this.#source[this.#at] !== ')') {
      if (this.#source[this.#at] === '|') {
        this.#at++
        nodes.push([])
      } else nodes.at(-1)?.push(this.#node())
    }
    return { nodes }
  }

  #node(): Node {
    const character = this.#source[this.#at]
    if (character === '^' || character === '$') {
      this.#at++
      return { kind: character === '$' ? 'end' : 'edge' }
    }
    if (character === '(') return this.#group()
    const atom = this.#atom()
    if (atom === '\\b' || atom === '\\B') return { kind: 'edge' }
    if (/^\\(?:[1-9]|k)/.test(atom)) throw new Unsafe()
    return { kind: 'one', set: setOf(atom === '.' ? '[^\\n\\r]' : atom), repeat: this.#repeat() }
  }

  #group(): Node {
    const opening = /\((?:\?(?::|<[A-Za-z_$][\w$]*>|<?[=!]|[a-z-]*:))?/y
    opening.lastIndex = this.#at
    const [text = '('] = opening.exec(this.#source) ?? []
    // Other flags within: nothing that is followed here.
    if (/^\(\?[a-z-]+:$/.test(text)) throw new Unsafe()
    this.#at += text.length
    const { nodes: branches } = this.alternatives()
    this.#at++
    if (/[=!]$/.test(text)) return { kind: 'look', branches }
    return { kind: 'group', branches, repeat: this.#repeat() }
  }

  #atom(): string {
    const pattern =
      /\[(?:\\[^]|[^\]\\])*\]|\\(?:u\{[0-9a-fA-F]+\}|u[0-9a-fA-F]{4}(?:\\u[dD][c-fC-F][0-9a-fA-F]{2})?|x[0-9a-fA-F]{2}|[pP]\{[^}]*\}|c[A-Za-z]|k<[^>]*>|[0-9]+|[^])|[^]/uy
    pattern.lastIndex = this.#at
    const [atom = ''] = pattern.exec(this.#source) ?? []
    if (atom === '') throw new Unsafe()
    this.#at += atom.length
    return atom
  }

  #repeat(): Repeat {
    const pattern = /(?:([*+?])|\{(\d+)(?:(,)(\d*))?\})\??/y
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#source)
    if (found === null) return once
    this.#at += found[0].length
    const [, sign, min = '0', comma, max = ''] = found
    if (sign === '?') return { min: 0, max: 1 }
    if (sign !== undefined) return { min: sign === '+' ? 1 : 0, max: Infinity }
    return { min: Number(min), max: comma === undefined ? Number(min) : max === '' ? Infinity : Number(max) }
  }
}

/**
 * Time is at most the length to the power of `exponent` (repetitions whose ends must be tried), times the length where `scans`
 * is 1 (repetitions with plain ends), times two to the power of `bits` (optional parts and alternatives that must be tried).
 */
interface Cost {
  readonly exponent: number
  readonly scans: 0 | 1
  readonly bits: number
}

const free: Cost = { exponent: 0, scans: 0, bits: 0 }

/** `follow` holds what may come behind. */
function costOf(branches: readonly (readonly Node[])[], follow: Uint8Array): Cost {
  const costs = branches.map(nodes => costOfSequence(nodes, follow))
  const choice = areApart(branches.map(nodes => firstOf(nodes, 0, follow))) ? 0 : Math.log2(branches.length)
  return costs.reduce(add, { exponent: 0, scans: 0, bits: choice })
}

function costOfSequence(nodes: readonly Node[], follow: Uint8Array): Cost {
  const costs = nodes.map((node, index) => costOfNode(node, firstOf(nodes, index + 1, follow)))
  // What is looked at before anything varies is looked at once: times that are added, not multiplied.
  const start = nodes.findIndex(({ kind }) => kind !== 'look' && kind !== 'edge')
  const looks = costs.slice(0, start < 0 ? costs.length : start)
  const rest = costs.slice(looks.length).reduce(add, free)
  return looks.reduce(atMost, rest)
}

/** Of the sum of two times. */
function atMost(a: Cost, b: Cost): Cost {
  return {
    exponent: Math.max(a.exponent, b.exponent),
    scans: a.scans === 1 ? 1 : b.scans,
    bits: Math.max(a.bits, b.bits) + (b.exponent + b.bits > 0 ? 1 : 0),
  }
}

function add(a: Cost, b: Cost): Cost {
  return { exponent: a.exponent + b.exponent, scans: a.scans === 1 ? 1 : b.scans, bits: a.bits + b.bits }
}

function costOfNode(node: Node, follow: Uint8Array): Cost {
  if (node.kind === 'end' || node.kind === 'edge') return free
  if (node.kind === 'look') {
    // It is looked once wherever the matcher comes by, and never gone back into.
    const { exponent, scans, bits } = costOf(node.branches, none)
    return { exponent: exponent + scans, scans: 0, bits }
  }
  const first = node.kind === 'one' ? node.set : startOf(node.branches)
  const own = costOfEnd(node.repeat, areDisjoint(first, follow))
  if (node.kind === 'one') return own
  const inner = costOf(node.branches, isOften(node.repeat) ? union(first, follow) : follow)
  const isSimple = inner.exponent === 0 && inner.bits === 0 && !node.branches.some(isNullable)
  if (!isOften(node.repeat) || isSimple || hasOneWay(node.branches)) return add(own, inner)
  if (node.repeat.max > copiesMax) throw new Unsafe()
  // As if it were written out so many times, each of which may be left out.
  const { max } = node.repeat
  return { exponent: own.exponent + inner.exponent * max, scans: inner.scans, bits: own.bits + (inner.bits + 1) * max }
}

/** Groups that are repeated more often must match in one way only. */
const copiesMax = 8

function hasOneWay(branches: readonly (readonly Node[])[]): boolean {
  try {
    refuseAmbiguous(branches)
    return true
  } catch (error) {
    if (error instanceof Unsafe) return false
    throw error
  }
}

function costOfEnd(repeat: Repeat, isPlainEnd: boolean): Cost {
  if (!isVariable(repeat)) return free
  if (isPlainEnd) return isOften(repeat) ? { ...free, scans: 1 } : free
  return isOften(repeat) ? { ...free, exponent: 1 } : { ...free, bits: 1 }
}

/** With what the rest of a sequence may start. */
function firstOf(nodes: readonly Node[], from: number, follow: Uint8Array): Uint8Array {
  let set: Uint8Array = none
  for (const node of nodes.slice(from)) {
    if (node.kind === 'end') return set
    if (node.kind === 'one') set = union(set, node.set)
    else if (node.kind === 'group') set = union(set, startOf(node.branches))
    if (!mayBeEmpty(node)) return set
  }
  return union(set, follow)
}

function startOf(branches: readonly (readonly Node[])[]): Uint8Array {
  return branches.map(nodes => firstOf(nodes, 0, none)).reduce(union, none)
}

function isNullable(nodes: readonly Node[]): boolean {
  return nodes.every(mayBeEmpty)
}

function mayBeEmpty(node: Node): boolean {
  if (node.kind === 'edge' || node.kind === 'look') return true
  if (node.kind === 'end') return false
  return node.repeat.min === 0 || (node.kind === 'group' && node.branches.some(isNullable))
}

function areApart(sets: readonly Uint8Array[]): boolean {
  return sets.every((set, index) => sets.slice(index + 1).every(other => areDisjoint(set, other)))
}

/** Lets a group be repeated only where one text can be parted into rounds, and each round be matched, in one way. */
function refuseAmbiguous(branches: readonly (readonly Node[])[]): void {
  if (branches.every(nodes => nodes.every(isPlain)) && startDifferently(branches)) return
  const [nodes = []] = branches
  const [first, ...rest] = nodes
  if (
    branches.length > 1 ||
    first === undefined ||
    first.kind !== 'one' ||
    first.repeat.min !== 1 ||
    first.repeat.max !== 1
  ) {
    throw new Unsafe()
  }
  const starts = first.set
  const isApart = (node: Node): boolean =>
    node.kind === 'one'
      ? areDisjoint(starts, node.set)
      : node.kind === 'group' && !isOften(node.repeat) && node.branches.every(inner => inner.every(isApart))
  if (!rest.every(isApart) || variablesIn(rest) > 1) throw new Unsafe()
}

/** Matches texts of one length only. */
function isPlain(node: Node): boolean {
  return node.kind === 'one' && !isVariable(node.repeat)
}

function startDifferently(branches: readonly (readonly Node[])[]): boolean {
  const starts = branches.map(([first]) => (first?.kind === 'one' && first.repeat.min > 0 ? first.set : null))
  return starts.every(
    (set, index) => set !== null && starts.slice(index + 1).every(other => other !== null && areDisjoint(set, other)),
  )
}

/** Parts of variable length, of which there may be one: with more, a text could be matched in several ways. */
function variablesIn(nodes: readonly Node[]): number {
  return nodes.reduce((sum, node) => {
    if (node.kind === 'one') return sum + (isVariable(node.repeat) ? 1 : 0)
    if (node.kind !== 'group') return sum
    if (node.branches.length > 1) throw new Unsafe()
    return sum + node.branches.reduce((inner, branch) => inner + variablesIn(branch), 0)
  }, 0)
}

function isVariable({ min, max }: Repeat): boolean {
  return min !== max
}

function isOften({ max }: Repeat): boolean {
  return max > 1
}
