// What a schema cannot say about certificates that the gateway gets by itself.

import { isIP } from 'node:net'
import type { Found } from './found.ts'
import { headSpan, partOf, partsOf, textOf } from './found-read.ts'
import type { Finding } from './problem.ts'

/** `blueprint` may be broken in parts. */
export function checkAcme(blueprint: Found, findings: Finding[]): void {
  const listeners = partsOf(partOf(blueprint, 'listeners'))
  const names = listeners.flatMap(listener => partsOf(partOf(partOf(listener, 'tls'), 'acme')))
  const say = (message: string, hint: string, at: Found) => findings.push({ message, hint, span: headSpan(at) })
  for (const name of names) {
    const text = textOf(name) ?? ''
    if (!text.startsWith('*.') && isIP(text.replaceAll(/[[\]]/g, '')) === 0) continue
    const hint = 'Write each name by itself, and give a certificate for others as files under `certificates`.'
    say(`a certificate for \`${text}\` cannot be had by HTTP-01`, hint, name)
  }
  const acme = partOf(blueprint, 'acme')
  const [first] = names
  if (first === undefined || acme === null || acme.isBroken) return
  if (acme.value === null) {
    say('names are to get certificates by themselves, but there is no top-level `acme`', acmeHint, first)
    return
  }
  if (partOf(acme, 'agreeToTerms')?.value !== true) {
    say('`acme` needs your agreement to the terms of the server', 'Read them, and write `agreeToTerms: true`.', acme)
  }
  const directory = partOf(acme, 'directory')
  if (directory !== null && !isDirectory(textOf(directory) ?? '')) {
    const hint = 'Such as `https://acme-v02.api.letsencrypt.org/directory`. Only on this machine may it be `http`.'
    say('the `directory` of `acme` is no URL of `https`', hint, directory)
  }
  if (partOf(blueprint, 'data')?.value === null) {
    say('`acme` needs a folder for its keys and certificates', 'Write `data: data` at the top level.', acme)
  }
  if (listeners.every(listener => partOf(listener, 'tls')?.value !== null)) {
    const hint = 'Add a listener without `tls`, to which port 80 of the names leads.'
    say('`acme` proves names over plain HTTP, but every listener speaks TLS', hint, acme)
  }
}

const acmeHint = 'Write `acme: { agreeToTerms: true, email: … }` at the top level; see docs/acme.md.'

function isDirectory(text: string): boolean {
  const url = URL.parse(text)
  if (url === null || url.username !== '' || url.password !== '') return false
  const isLocal = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname)
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLocal)
}
