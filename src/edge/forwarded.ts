// Who is calling: the one trusted-proxy rule, and the X-Forwarded-* and Via fields made by it.

import type { Call } from '../core/call.ts'
import type { Headers } from '../core/headers.ts'
import { isForwardingKey } from '../http/names.ts'

/**
 * Sets `call.clientAddress` and the forwarding fields.
 *
 * From a trusted proxy the fields are believed and appended to; from anyone else they are dropped and made anew, so that
 * nobody can claim another address (docs/security.md). The client is the last address in X-Forwarded-For that is not itself
 * a trusted proxy.
 */
export function applyForwarding(
  call: Call,
  hostField: string,
  hasForwarding: boolean,
  isTrusted: (address: string) => boolean,
): void {
  const { headers, peer } = call
  if (hasForwarding && peer.isTrusted) return continueChain(call, hostField, isTrusted)
  if (hasForwarding) dropForwarding(headers)
  const list = headers.list
  list.push('x-forwarded-for', 'x-forwarded-for', peer.address)
  list.push('x-forwarded-proto', 'x-forwarded-proto', peer.scheme)
  if (hostField !== '') list.push('x-forwarded-host', 'x-forwarded-host', hostField)
  list.push('via', 'via', viaOf(call))
}

/** RFC 9110 §7.6.3: a gateway says that it passed a request on, by the version it received it in and a name for itself. */
function viaOf(call: Call): string {
  return call.protocol === 'HTTP/2' ? '2 turnpike' : '1.1 turnpike'
}

function dropForwarding({ list }: Headers): void {
  for (let i = list.length - 2; i > 0; i -= 3) if (isForwardingKey(list[i] as string)) list.splice(i - 1, 3)
}

function continueChain(call: Call, hostField: string, isTrusted: (address: string) => boolean): void {
  const { headers, peer } = call
  const chain = headers
    .all('x-forwarded-for')
    .flatMap(value => value.split(','))
    .map(part => addressOf(part.trim()))
  chain.push(peer.address)
  let i = chain.length - 1
  while (i > 0 && isTrusted(chain[i] as string) && isAddress(chain[i - 1] as string)) i--
  call.clientAddress = chain[i] as string
  headers.set('x-forwarded-for', chain.join(', '))
  if (!headers.has('x-forwarded-proto')) headers.add('x-forwarded-proto', peer.scheme)
  if (!headers.has('x-forwarded-host') && hostField !== '') headers.add('x-forwarded-host', hostField)
  headers.set('via', [...headers.all('via'), viaOf(call)].join(', '))
  const forwarded = headers.all('forwarded')
  if (forwarded.length > 0) headers.set('forwarded', [...forwarded, forwardedElement(call, hostField)].join(', '))
}

/** One element of RFC 7239. */
function forwardedElement(call: Call, hostField: string): string {
  const address = call.peer.address
  const node = address.includes(':') ? `"[${address}]"` : address
  return `for=${node};proto=${call.peer.scheme}${hostField === '' ? '' : `;host="${hostField}"`}`
}

/** An element of X-Forwarded-For without the port and brackets that some proxies add. */
function addressOf(part: string): string {
  const bracketed = /^\[([0-9A-Fa-f:.]+)\](?::\d+)?$/.exec(part)
  if (bracketed?.[1] !== undefined) return plainAddress(bracketed[1])
  const withPort = /^(\d+\.\d+\.\d+\.\d+):\d+$/.exec(part)
  return withPort?.[1] ?? plainAddress(part)
}

function isAddress(text: string): boolean {
  return /^(?:\d{1,3}\.){3}\d{1,3}$/.test(text) || /^[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*$/.test(text)
}

/** The address without the prefix of IPv4 on a dual-stack socket, which proxies write into X-Forwarded-For too. */
export function plainAddress(address: string | undefined): string {
  if (address === undefined) return ''
  return /^::ffff:[\d.]+$/i.test(address) ? address.slice(7) : address
}
