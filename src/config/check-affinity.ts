// What a schema cannot say about the cookie of an upstream's affinity: what no browser takes, and what it makes useless.

import { isHttpName } from '../core/http-name.ts'
import type { Found } from './found.ts'
import { partOf, textOf } from './found-read.ts'
import type { Finding } from './problem.ts'

export function checkAffinity(upstream: Found, findings: Finding[]): void {
  const affinity = partOf(upstream, 'affinity')
  if (affinity === null || affinity.value === null) return
  const say = (at: Found, message: string, hint: string) =>
    findings.push({ message, hint, span: at.keySpan ?? at.span })
  checkBalance(upstream, say)
  checkCookie(affinity, say)
}

type Say = (at: Found, message: string, hint: string) => void

function checkBalance(upstream: Found, say: Say): void {
  const [balance, hashBy] = [partOf(upstream, 'balance'), partOf(upstream, 'hashBy')]
  if (balance !== null && balance.keySpan !== null && !balance.isBroken && balance.value !== 'hash') {
    const message = `\`balance: ${String(balance.value)}\` has no effect with \`affinity\``
    say(balance, message, 'Targets are chosen by the cookie: leave `balance` out, or leave `affinity` out.')
  }
  if (hashBy !== null && hashBy.value !== null) {
    say(hashBy, '`hashBy` has no effect with `affinity`', 'What is hashed is the cookie: leave one of them out.')
  }
}

function checkCookie(affinity: Found, say: Say): void {
  const [cookie, path, secure] = [partOf(affinity, 'cookie'), partOf(affinity, 'path'), partOf(affinity, 'secure')]
  const [name, pathText] = [textOf(cookie), textOf(path)]
  if (cookie !== null && name !== null && !isHttpName(name)) {
    say(cookie, `\`${name}\` is not the name of a cookie`, 'Write letters, digits, `-` and `_`.')
  }
  if (path !== null && pathText !== null && !/^\/[!-:<-~]*$/.test(pathText)) {
    say(path, `\`${pathText}\` is no path of a cookie`, 'Write one that begins with `/`, without spaces and `;`.')
  }
  // RFC 6265bis §4.1.3: browsers take cookies of such names by these rules alone.
  if (path !== null && pathText !== null && pathText !== '/' && /^__host-/i.test(name ?? '')) {
    say(path, `no browser takes the cookie \`${name}\` for another path than \`/\``, 'Leave `path` out, or `__Host-`.')
  }
  if (secure === null || secure.value !== false) return
  if (/^__(?:host|secure)-/i.test(name ?? '')) {
    say(
      secure,
      `no browser takes the cookie \`${name}\` without \`secure\``,
      'Leave `secure` out, or take another name.',
    )
  }
  if (partOf(affinity, 'sameSite')?.value === 'none') {
    say(secure, 'no browser takes a cookie with `sameSite: none` without `secure`', 'Leave one of the two out.')
  }
}
