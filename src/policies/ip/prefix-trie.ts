// Finds the most specific prefix of an address: a path-compressed binary trie in flat arrays.

/** What the trie knows of a prefix. The greater one wins where a prefix is given twice. */
export const Verdict = { none: 0, allow: 1, deny: 2 } as const
export type Verdict = (typeof Verdict)[keyof typeof Verdict]

export interface PrefixTrie {
  /** `prefix` has no bits set behind its length. */
  insert(prefix: Uint32Array, bits: number, verdict: Verdict): void
  /** The verdict of the longest prefix of this address. */
  find(address: Uint32Array): Verdict
}

/**
 * A trie of prefixes of `wordCount` 32-bit words. It has at most two nodes per prefix, and a look-up visits one node for each
 * prefix length at which the stored prefixes part: some fifteen for 10,000 of them.
 */
export function createPrefixTrie(wordCount: number): PrefixTrie {
  const widest = 32 * wordCount
  /** Per node: the words of its prefix, its length in bits, its verdict, and two children (0 for none: the root is no child). */
  const words: number[] = []
  const lengths: number[] = []
  const verdicts: Verdict[] = []
  const children: number[] = []
  addNode(new Uint32Array(wordCount), 0, Verdict.none)

  function addNode(prefix: Uint32Array, bits: number, verdict: Verdict): number {
    for (let i = 0; i < wordCount; i++) words.push(keepBits(prefix[i] as number, bits - 32 * i))
    children.push(0, 0)
    verdicts.push(verdict)
    return lengths.push(bits) - 1
  }

  /** How many leading bits of a node's prefix the address shares, at most `most`. */
  function sharedBits(node: number, address: Uint32Array, most: number): number {
    for (let i = 0; 32 * i < most; i++) {
      const difference = (words[node * wordCount + i] as number) ^ (address[i] as number)
      if (difference !== 0) return Math.min(most, 32 * i + Math.clz32(difference))
    }
    return most
  }

  function insert(prefix: Uint32Array, bits: number, verdict: Verdict): void {
    let node = 0
    for (;;) {
      const length = lengths[node] as number
      if (length === bits) {
        if (verdict > (verdicts[node] as Verdict)) verdicts[node] = verdict
        return
      }
      const side = 2 * node + bitAt(prefix, length)
      const child = children[side] as number
      if (child === 0) {
        children[side] = addNode(prefix, bits, verdict)
        return
      }
      const childLength = lengths[child] as number
      const shared = sharedBits(child, prefix, Math.min(childLength, bits))
      if (shared === childLength) {
        node = child
        continue
      }
      // The child parts from the prefix: a node between them holds what they share.
      const fork = addNode(prefix, shared, Verdict.none)
      const childBit = ((words[child * wordCount + (shared >>> 5)] as number) >>> (31 - (shared & 31))) & 1
      children[2 * fork + childBit] = child
      children[side] = fork
      node = fork
    }
  }

  function find(address: Uint32Array): Verdict {
    let verdict = verdicts[0] as Verdict
    let node = 0
    let length = 0
    while (length < widest) {
      node = children[2 * node + bitAt(address, length)] as number
      if (node === 0) return verdict
      length = lengths[node] as number
      if (sharedBits(node, address, length) < length) return verdict
      const own = verdicts[node] as Verdict
      if (own !== Verdict.none) verdict = own
    }
    return verdict
  }

  return { insert, find }
}

function bitAt(address: Uint32Array, index: number): 0 | 1 {
  return (((address[index >>> 5] as number) >>> (31 - (index & 31))) & 1) as 0 | 1
}

function keepBits(word: number, count: number): number {
  if (count <= 0) return 0
  return count >= 32 ? word : (word & (-1 << (32 - count))) >>> 0
}
