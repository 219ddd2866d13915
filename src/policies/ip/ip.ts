// The policy `ip`: lets clients pass by their address.

import { definePolicy, OptionsError } from '../../core/policy.ts'
import { Reply } from '../../core/reply.ts'
import { Fields, OneOrMany, type Static, Type } from '../../core/schema.ts'
import { createAddressReader, readCidr } from '../../core/address.ts'
import { createPrefixTrie, findVerdict, insertPrefix, Verdict } from '../../core/prefix-trie.ts'

const addresses = (description: string) =>
  OneOrMany(Type.String({ format: 'cidr' }), { default: [], description, examples: [['10.0.0.0/8', '2001:db8::/32']] })

const options = Fields({
  allow: addresses('Addresses and CIDRs that may call. Where any is written, addresses in no list may not.'),
  deny: addresses(
    'Addresses and CIDRs that may not call. The most specific entry of both lists decides, `deny` on a tie.',
  ),
})

export const ip = definePolicy({
  name: 'ip',
  summary: 'Allows and denies clients by their address.',
  admits: true,
  options,
  check,
  build({ allow, deny }) {
    const isAllowed = compileLists(allow, deny)
    return next =>
      function ip(call) {
        return isAllowed(call.clientAddress) ? next(call) : Promise.resolve(Reply.problem('address-denied'))
      }
  },
})

function check({ allow, deny }: Static<typeof options>): void {
  if (allow.length + deny.length === 0) {
    throw new OptionsError('both lists are empty', [], 'Write addresses or CIDRs under `allow` or `deny`.')
  }
}

/** An address that cannot be read is denied. */
function compileLists(allow: readonly string[], deny: readonly string[]): (address: string) => boolean {
  const tries = { 4: createPrefixTrie(1), 6: createPrefixTrie(4) }
  const insert = (list: readonly string[], verdict: Verdict) => {
    for (const text of list) {
      const cidr = readCidr(text)
      if ('problem' in cidr) throw new OptionsError(`\`${text}\` ${cidr.problem}`, [], cidr.hint)
      insertPrefix(tries[cidr.family], cidr.words, cidr.bits, verdict)
    }
  }
  insert(allow, Verdict.allow)
  insert(deny, Verdict.deny)
  const unlisted = allow.length === 0 ? Verdict.allow : Verdict.deny
  const reader = createAddressReader()
  return address => {
    const family = reader.read(address)
    if (family === null) return false
    const verdict = findVerdict(tries[family], reader.words)
    return (verdict === Verdict.none ? unlisted : verdict) === Verdict.allow
  }
}
