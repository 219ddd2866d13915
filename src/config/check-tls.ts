// What a schema cannot say about TLS: cipher suites that OpenSSL does not know, sessions that outlive their keys, no certificate.

import tls from 'node:tls'
import { cipherLists, isOfNewest } from '../core/ciphers.ts'
import { checkAcme } from './check-acme.ts'
import type { Found } from './found.ts'
import { headSpan, numberOf, partOf, partsOf, textOf } from './found-read.ts'
import type { Finding } from './problem.ts'
import { nearest } from './suggest.ts'

/** `blueprint` may be broken in parts. */
export function checkTls(blueprint: Found, findings: Finding[]): void {
  const suites = usableSuites()
  checkAcme(blueprint, findings)
  for (const listener of partsOf(partOf(blueprint, 'listeners'))) {
    checkCertificates(partOf(listener, 'tls'), findings)
    for (const cipher of partsOf(partOf(partOf(listener, 'tls'), 'ciphers'))) checkCipher(cipher, suites, findings)
    checkVersions(partOf(listener, 'tls'), findings)
  }
  checkSessions(partOf(blueprint, 'tlsSessions'), findings)
}

function checkCertificates(tls: Found | null, findings: Finding[]): void {
  const [written, acme] = [partOf(tls, 'certificates'), partOf(tls, 'acme')]
  if (tls === null || tls.value === null || written === null || acme === null || written.isBroken || acme.isBroken)
    return
  if (partsOf(written).length + partsOf(acme).length > 0) return
  const hint = 'Write `certificates: [{ cert: …, key: … }]`, or names under `acme`.'
  findings.push({ message: 'a TLS listener has no certificate', hint, span: headSpan(tls) })
}

/** Those that need a secret or a password of both sides are of no use here: there is no place to write one. */
function usableSuites(): string[] {
  return tls
    .getCiphers()
    .map(name => name.toUpperCase())
    .filter(name => !/PSK|^SRP/.test(name))
}

function checkCipher(cipher: Found, suites: readonly string[], findings: Finding[]): void {
  const name = textOf(cipher)
  if (name === null || cipherLists[name] !== undefined || suites.includes(name.toUpperCase())) return
  const near = nearest(name, [...Object.keys(cipherLists), ...suites])
  const meant =
    name === 'modern'
      ? 'For TLS 1.3 alone write `minVersion: "1.3"`, and no `ciphers`. '
      : near === null
        ? ''
        : `Did you mean \`${near}\`? `
  findings.push({
    message: `OpenSSL knows no cipher suite \`${name}\` that a listener can use`,
    hint: `${meant}Write names such as \`ECDHE-RSA-AES128-GCM-SHA256\`, one per item, or \`intermediate\` or \`compatible\`.`,
    span: cipher.span,
  })
}

function checkVersions(tls: Found | null, findings: Finding[]): void {
  const [ciphers, oldest] = [partOf(tls, 'ciphers'), partOf(tls, 'minVersion')]
  if (ciphers === null || ciphers.isBroken || oldest?.value !== '1.3') return
  const names = partsOf(ciphers).map(part => textOf(part) ?? '')
  if (names.some(name => cipherLists[name] !== undefined || isOfNewest(name.toUpperCase()))) return
  findings.push({
    message: '`ciphers` names no suite of TLS 1.3, and `minVersion` allows no other version',
    hint: 'Name suites such as `TLS_AES_256_GCM_SHA384`, or leave `ciphers` out.',
    span: ciphers.keySpan ?? ciphers.span,
  })
}

function checkSessions(sessions: Found | null, findings: Finding[]): void {
  const [lifetime, rotate] = [partOf(sessions, 'lifetime'), partOf(sessions, 'rotate')]
  const [lifetimeMs, rotateMs] = [numberOf(lifetime), numberOf(rotate)]
  if (lifetime === null || rotate === null || lifetimeMs === null || rotateMs === null) return
  const say = (message: string, hint: string, at: Found) =>
    findings.push({ message, hint, span: at.keySpan ?? at.span })
  if (rotateMs < rotateMsMin || rotateMs > rotateMsMax) {
    say('`rotate` is from one second to 24 days', 'Hours are usual, such as `12h`.', rotate)
  } else if (lifetimeMs < 1000 || lifetimeMs > lifetimeMsMax) {
    say('`lifetime` is from one second to 7 days', 'TLS 1.3 allows no more (RFC 8446 §4.6.1).', lifetime)
  } else if (lifetimeMs > rotateMs) {
    const hint =
      'A ticket is good until the key after its own is replaced: make `lifetime` shorter, or `rotate` longer.'
    say('TLS sessions would live longer than the keys of their tickets', hint, lifetime)
  }
}

const rotateMsMin = 1_000
/** Timers take no more. */
const rotateMsMax = 24 * 86_400_000
const lifetimeMsMax = 7 * 86_400_000
