// The units and notations of single values: durations, sizes, rates, origins and their like.

import { isIP } from 'node:net'
import { readCidr } from '../core/address.ts'
import { retryWords } from '../core/retry-schema.ts'
import { listOf, nearest } from './suggest.ts'

/** A parsed value, or what was expected instead. */
export type Outcome = { readonly value: unknown } | Fault

export interface Fault {
  /** Goes into "`x` must be …, but is …", or stands for itself when `isSentence`. */
  readonly expected: string
  readonly hint: string
  readonly isSentence?: boolean
}

export type Format = (text: string) => Outcome

/** How a format is called and written; for messages, the JSON Schema and the reference. */
export interface FormatText {
  readonly noun: string
  readonly how: string
  /** A pattern for editors; null where none says more than "a text". */
  readonly pattern: string | null
}

export const formatTexts: Readonly<Record<string, FormatText>> = {
  duration: {
    noun: 'a duration',
    how: 'a number with a unit, such as `250ms`, `10s`, `5m`, `2h` or `1d`',
    pattern: '^\\d+(\\.\\d+)?(ms|s|m|h|d)$',
  },
  size: {
    noun: 'a size',
    how: 'bytes, or a number with a unit, such as `512B`, `64kB`, `10MB`, `1GB` or `64KiB`',
    pattern: '^\\d+(\\.\\d+)?(B|kB|MB|GB|KiB|MiB|GiB)?$',
  },
  rate: {
    noun: 'a rate',
    how: 'a count and a window, such as `100/minute`, `5/s` or `10/10s`',
    pattern: '^\\d+/(\\d+(\\.\\d+)?(ms|s|m|h|d)|s|m|h|d|second|minute|hour|day)$',
  },
  percent: { noun: 'a percentage', how: 'a number with `%`, such as `20%`', pattern: '^\\d+(\\.\\d+)?%$' },
  statuses: {
    noun: 'a status',
    how: 'a status such as `200`, or a class of them such as `2xx`',
    pattern: '^[1-5](xx|[0-9]{2})$',
  },
  'retry-reason': {
    noun: 'a reason for a further try',
    how: `a status from 400 on, such as \`503\`, or one of ${listOf(retryWords)}`,
    pattern: `^(${retryWords.join('|')}|[45][0-9][0-9])$`,
  },
  origin: {
    noun: 'the address of a server',
    how: 'scheme, host and port, such as `http://10.0.0.7:9001`',
    pattern: '^https?://[^/?#@]+/?$',
  },
  cidr: {
    noun: 'an address range',
    how: 'an address or CIDR, such as `10.0.0.0/8`, `192.0.2.7` or `2001:db8::/32`',
    pattern: null,
  },
  hostname: {
    noun: 'a host name',
    how: 'a name such as `api.acme.test`, or `*.acme.test` for any name below',
    pattern: null,
  },
  file: { noun: 'a file', how: 'the path of a readable file, relative to the config file', pattern: null },
  folder: { noun: 'a folder', how: 'the path of a folder, relative to the config file', pattern: null },
  time: {
    noun: 'a point in time',
    how: 'a date such as `2027-06-30`, or with a time and zone, such as `2027-06-30T12:00:00Z`',
    pattern: '^\\d{4}-\\d{2}-\\d{2}(T\\d{2}:\\d{2}(:\\d{2}(\\.\\d+)?)?(Z|[+-]\\d{2}:\\d{2}))?$',
  },
  secret: { noun: 'a secret', how: '`${env:NAME}` or `${file:PATH}`, which bring it in from outside', pattern: null },
  'key-digest': {
    noun: 'a key',
    how: 'its SHA-256 as hex, or `${env:NAME}` or `${file:PATH}`, which bring it in from outside',
    pattern: null,
  },
  'certificate-name': {
    noun: 'a certificate',
    how: 'its SHA-256 fingerprint as hex, or a name in it such as `dns:client.acme.test`',
    pattern: null,
  },
  template: { noun: 'a template', how: 'a text with `{placeholders}`', pattern: null },
  pattern: { noun: 'a path pattern', how: 'a path such as `/users/{id}` or `/catalog/**`', pattern: '^/' },
}

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const windowMs: Readonly<Record<string, number>> = {
  ...{ second: 1000, minute: 60_000, hour: 3_600_000, day: 86_400_000 },
  ...{ s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 },
}
const unitBytes: Readonly<Record<string, number>> = {
  ...{ '': 1, b: 1, kb: 1e3, mb: 1e6, gb: 1e9 },
  ...{ kib: 1024, mib: 1024 ** 2, gib: 1024 ** 3 },
}

/** Timers and arithmetic stay exact far beyond this. */
const durationMsMax = 100 * 365 * 86_400_000

/** The formats that need nothing from outside. */
export const plainFormats: Readonly<Record<string, Format>> = {
  duration: text => {
    const ms = durationMs(text)
    return ms === null ? fault('duration') : { value: ms }
  },
  size: text => {
    const match = /^(\d+(?:\.\d+)?) ?([a-z]*)$/i.exec(text)
    const unit = unitBytes[(match?.[2] ?? '').toLowerCase()]
    if (match === null || unit === undefined) return fault('size')
    const bytes = Number(match[1]) * unit
    return Number.isSafeInteger(bytes) ? { value: bytes } : fault('size', 'Write whole bytes, fewer than 9 petabytes.')
  },
  rate: text => {
    const match = /^(\d+)\/(.+)$/.exec(text.replaceAll(' ', ''))
    const window = windowMs[match?.[2] ?? ''] ?? durationMs(match?.[2] ?? '')
    const count = Number(match?.[1])
    if (match === null || window === null || window === 0 || !Number.isSafeInteger(count)) return fault('rate')
    return { value: { count, windowMs: window } }
  },
  percent: text => {
    const match = /^(\d+(?:\.\d+)?) ?%$/.exec(text)
    const share = Number(match?.[1]) / 100
    if (match === null) return fault('percent')
    return share <= 1 ? { value: share } : fault('percent', 'Write at most `100%`.')
  },
  statuses: text => (/^[1-5](xx|[0-9]{2})$/.test(text) ? { value: text } : fault('statuses')),
  'retry-reason': text => {
    if (/^[45][0-9]{2}$/.test(text) || retryWords.includes(text)) return { value: text }
    const meant = nearest(text, retryWords)
    if (meant !== null) return fault('retry-reason', `Did you mean \`${meant}\`?`)
    return fault('retry-reason', /^\d+$/.test(text) ? 'Write a status from 400 to 599.' : undefined)
  },
  origin,
  time: text => {
    const isWritten = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/.test(text)
    const ms = isWritten ? Date.parse(text) : Number.NaN
    return Number.isNaN(ms) ? fault('time') : { value: ms }
  },
  'certificate-name': text => {
    const hex = text.replaceAll(':', '').toLowerCase()
    if (/^[0-9a-f]{64}$/.test(hex)) return { value: hex }
    return /^(dns|uri|email|ip|cn|subject):[^\u0000-\u001f\u007f]{1,512}$/.test(text)
      ? { value: text }
      : fault('certificate-name')
  },
  cidr: text => {
    const [address = '', bits, ...more] = text.split('/')
    const family = isIP(address)
    const isRange = bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128))
    if (family === 0 || !isRange || more.length > 0 || address.includes('%')) return fault('cidr')
    const cidr = readCidr(text)
    if (!('problem' in cidr)) return { value: text }
    return { expected: `\`${text}\` ${cidr.problem}`, hint: cidr.hint, isSentence: true }
  },
  hostname: text => {
    const name = text.toLowerCase().replace(/\.$/, '')
    if (/:\d+$/.test(name) && isIP(name) === 0)
      return fault('hostname', 'Leave the port out: a name matches on any port.')
    if (name.includes('/')) return fault('hostname', 'Write the host alone, without scheme and path.')
    if (name === '*') return fault('hostname', 'For any host, leave `hosts` out.')
    const bare = name.startsWith('[') && name.endsWith(']') ? name.slice(1, -1) : name
    if (isIP(bare) === 6) return { value: `[${bare}]` }
    return /^(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/.test(name)
      ? { value: name }
      : fault('hostname')
  },
}

/** The fault of a value that is not written as its format wants. */
export function fault(format: string, hint?: string): Fault {
  const text = formatTexts[format]
  return { expected: text?.noun ?? format, hint: hint ?? `Write ${text?.how ?? format}.` }
}

function durationMs(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?) ?(ms|s|m|h|d)$/.exec(text)
  const ms = Number(match?.[1]) * (unitMs[match?.[2] ?? ''] ?? Number.NaN)
  return ms <= durationMsMax ? Math.round(ms) : null
}

function origin(text: string): Outcome {
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) {
    return fault('origin', `Write the scheme too, such as \`http://${text.slice(0, 60)}\`.`)
  }
  const url = URL.parse(text)
  if (url === null || url.hostname === '') return fault('origin')
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return fault('origin', 'The scheme is `http` or `https`.')
  if (url.username !== '' || url.password !== '') return fault('origin', 'Leave user and password out of it.')
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '' || /[?#]/.test(text)) {
    return fault('origin', `Leave the path out: \`${url.origin}\`. A route's \`forward\` may set a path.`)
  }
  return { value: url.origin }
}
