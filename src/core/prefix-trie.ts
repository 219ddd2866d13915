// Finds the most specific prefix of an address: a path-compressed binary trie in flat arrays.

/** What is known of a prefix. The greater one wins where a prefix is given twice. */
export const Verdict = { none: 0, allow: 1, deny: 2 } as const
export type Verdict = (typeof Verdict)[keyof typeof Verdict]

/**
 * A trie of prefixes of one or four 32-bit words. It has at most two nodes per prefix, and a look-up visits one node for each
 * length at which stored prefixes part: some fifteen for 10,000 of them.
 */
export interface PrefixTrie {
  readonly wordCount: number
  /** The prefix of each node, `wordCount` words after each other. */
  readonly words: number[]
  /** Length of the prefix of each node, bits. */
  readonly lengths: number[]
  readonly verdicts: Verdict[]
  /** Two per node, for a next bit of 0 and of 1. 0 is none: the root is nobody's child. */
  readonly children: number[]
}

export function createPrefixTrie(wordCount: 1 | 4): PrefixTrie {
  const trie = { wordCount, words: [], lengths: [], verdicts: [], children: [] }
  addNode(trie, new Uint32Array(wordCount), 0)
  return trie
}

export function insertPrefix(trie: PrefixTrie, prefix: Uint32Array, bits: number, verdict: Verdict): void {
  const { wordCount, words, lengths, verdicts, children } = trie
  let node = 0
  while ((lengths[node] as number) < bits) {
    const side = 2 * node + bitAt(prefix, lengths[node] as number)
    const child = children[side] as number
    if (child === 0) {
      node = children[side] = addNode(trie, prefix, bits)
      continue
    }
    const childLength = lengths[child] as number
    const shared = sharedBits(trie, child, prefix, Math.min(childLength, bits))
    if (shared === childLength) {
      node = child
      continue
    }
    // The child parts from the prefix: a node between them holds what they share.
    node = children[side] = addNode(trie, prefix, shared)
    const childBit = ((words[child * wordCount + (shared >>> 5)] as number) >>> (31 - (shared & 31))) & 1
    children[2 * node + childBit] = child
  }
  if (verdict > (verdicts[node] as Verdict)) verdicts[node] = verdict
}

/** The verdict of the longest prefix of this address that has one. */
export function findVerdict(trie: PrefixTrie, address: Uint32Array): Verdict {
  const { lengths, verdicts, children } = trie
  const widest = 32 * trie.wordCount
  let verdict = verdicts[0] as Verdict
  let node = 0
  let length = 0
  while (length < widest) {
    node = children[2 * node + bitAt(address, length)] as number
    if (node === 0) return verdict
    length = lengths[node] as number
    if (sharedBits(trie, node, address, length) < length) return verdict
    const own = verdicts[node] as Verdict
    if (own !== Verdict.none) verdict = own
  }
  return verdict
}

function addNode(trie: PrefixTrie, prefix: Uint32Array, bits: number): number {
  for (let i = 0; i < trie.wordCount; i++) trie.words.push(keepBits(prefix[i] as number, bits - 32 * i))
  trie.children.push(0, 0)
  trie.verdicts.push(Verdict.none)
  return trie.lengths.push(bits) - 1
}

/** How many leading bits of a node's prefix the address shares, at most `most`. */
function sharedBits({ wordCount, words }: PrefixTrie, node: number, address: Uint32Array, most: number): number {
  for (let i = 0; 32 * i < most; i++) {
    const difference = (words[node * wordCount + i] as number) ^ (address[i] as number)
    if (difference !== 0) return Math.min(most, 32 * i + Math.clz32(difference))
  }
  return most
}

function bitAt(address: Uint32Array, index: number): number {
  return ((address[index >>> 5] as number) >>> (31 - (index & 31))) & 1
}

function keepBits(word: number, count: number): number {
  if (count <= 0) return 0
  return count >= 32 ? word : (word & (-1 << (32 - count))) >>> 0
}
