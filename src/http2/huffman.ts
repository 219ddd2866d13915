// The Huffman code of header strings (RFC 7541 §5.2, appendix B), decoded four bits at a time.

/**
 * Decodes `bytes` from `start` to `end` into `out` from its beginning, which must have room for 8/5 of them. Returns the number of
 * octets, or -1 for what is not in the code: the end symbol, or padding that is too long or not of ones.
 */
export function decodeHuffman(bytes: Uint8Array, start: number, end: number, out: Uint8Array): number {
  let state = 0
  let length = 0
  for (let i = start; i < end; i++) {
    const octet = bytes[i] as number
    let step = steps[(state << 4) | (octet >> 4)] as number
    if ((step & emits) !== 0) out[length++] = step >> 16
    if ((step & fails) !== 0) return -1
    state = step & stateMask
    step = steps[(state << 4) | (octet & 15)] as number
    if ((step & emits) !== 0) out[length++] = step >> 16
    if ((step & fails) !== 0) return -1
    state = step & stateMask
  }
  return isPadding[state] === 1 ? length : -1
}

/** Bits of a step: the next state, what happens on the way, and from bit 16 on the octet that is emitted. */
const stateMask = 0x3ff
const emits = 0x400
const fails = 0x800

/** Bits of the codes by symbol; the last is the end symbol. The code is canonical, so that its lengths say all of it. */
const lengths = `13 23 28 28 28 28 28 28 28 24 30 28 28 30 28 28 28 28 28 28 28 28 30 28 28 28 28 28 28 28 28 28
6 10 10 12 13 6 8 11 10 10 8 11 8 6 6 6 5 5 5 6 6 6 6 6 6 6 7 8 15 6 12 10
13 6 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 8 7 8 13 19 13 14 6
15 5 6 5 6 5 6 6 6 5 7 7 6 6 6 5 6 7 6 5 5 6 7 7 7 7 7 15 11 14 13 28
20 22 20 20 22 22 22 23 22 23 23 23 23 23 24 23 24 24 22 23 24 23 23 23 23 21 22 23 22 23 23 24
22 21 20 22 22 23 23 21 23 22 22 24 21 22 23 23 21 21 22 21 23 22 23 23 20 22 22 22 23 22 22 23
26 26 20 19 22 23 22 25 26 26 26 27 27 26 24 25 19 21 26 27 27 26 27 24 21 21 26 26 28 27 27 27
20 24 20 21 22 21 21 23 22 22 25 25 24 24 26 23 26 27 26 26 27 27 27 27 27 28 27 27 27 27 27 26
30`
  .split(/\s+/)
  .map(Number)

const endSymbol = 256

interface Node {
  /** -1 inside the tree. */
  symbol: number
  readonly children: [Node | null, Node | null]
  state: number
  /** Reached by at most seven bits, all of them ones: what may stand behind the last octet. */
  isPadding: boolean
}

const { steps, isPadding } = createSteps()

function createSteps(): { steps: Int32Array; isPadding: Uint8Array } {
  const root = createTree()
  const states = numberStates(root)
  const table = new Int32Array(states.length * 16)
  for (const node of states) {
    for (let bits = 0; bits < 16; bits++) table[(node.state << 4) | bits] = stepFrom(root, node, bits)
  }
  return { steps: table, isPadding: Uint8Array.from(states, node => (node.isPadding ? 1 : 0)) }
}

function createTree(): Node {
  const root = createNode()
  const symbols = lengths.map((_, symbol) => symbol).toSorted((a, b) => lengthOf(a) - lengthOf(b) || a - b)
  let code = 0
  let codeLength = 0
  for (const symbol of symbols) {
    code <<= lengthOf(symbol) - codeLength
    codeLength = lengthOf(symbol)
    insert(root, code, codeLength, symbol)
    code++
  }
  return root
}

function lengthOf(symbol: number): number {
  return lengths[symbol] as number
}

function insert(root: Node, code: number, length: number, symbol: number): void {
  let node = root
  for (let bit = length - 1; bit >= 0; bit--) {
    const side = ((code >>> bit) & 1) as 0 | 1
    node = node.children[side] ??= createNode()
  }
  node.symbol = symbol
}

function createNode(): Node {
  return { symbol: -1, children: [null, null], state: -1, isPadding: false }
}

/** Gives the inner nodes their numbers, the root 0. */
function numberStates(root: Node): Node[] {
  const states: Node[] = []
  const queue: { node: Node; depth: number; isOnes: boolean }[] = [{ node: root, depth: 0, isOnes: true }]
  for (const { node, depth, isOnes } of queue) {
    if (node.symbol !== -1) continue
    node.state = states.length
    node.isPadding = isOnes && depth <= 7
    states.push(node)
    for (const side of [0, 1] as const) {
      const child = node.children[side]
      if (child !== null) queue.push({ node: child, depth: depth + 1, isOnes: isOnes && side === 1 })
    }
  }
  return states
}

function stepFrom(root: Node, from: Node, bits: number): number {
  let node = from
  let emitted = 0
  for (let bit = 3; bit >= 0; bit--) {
    const next = node.children[((bits >> bit) & 1) as 0 | 1]
    if (next === null || next.symbol === endSymbol) return fails
    node = next
    if (node.symbol === -1) continue
    emitted = emits | (node.symbol << 16)
    node = root
  }
  return emitted | node.state
}
