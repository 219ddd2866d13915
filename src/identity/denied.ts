// Lists of what is turned away, compiled for looking up.

import { createAddressReader, readCidr } from '../core/address.ts'
import type { Denials } from '../core/consumers.ts'
import { createPrefixTrie, findVerdict, insertPrefix, Verdict } from '../core/prefix-trie.ts'

/** Name of the list whose members are addresses and CIDRs. */
const addressList = 'address'

/** An address that cannot be read stands on no list; a member that cannot be read says nothing. */
export function compileDenials(lists: Readonly<Record<string, readonly string[]>>): Denials {
  const sets = new Map(Object.entries(lists).map(([list, members]) => [list, new Set(members)]))
  const tries = { 4: createPrefixTrie(1), 6: createPrefixTrie(4) }
  const addresses = lists[addressList] ?? []
  for (const text of addresses) {
    const cidr = readCidr(text)
    if (!('problem' in cidr)) insertPrefix(tries[cidr.family], cidr.words, cidr.bits, Verdict.deny)
  }
  const reader = createAddressReader()
  return {
    isDenied(list, value) {
      if (list !== addressList) return sets.get(list)?.has(value) ?? false
      if (addresses.length === 0) return false
      const family = reader.read(value)
      return family !== null && findVerdict(tries[family], reader.words) === Verdict.deny
    },
  }
}
