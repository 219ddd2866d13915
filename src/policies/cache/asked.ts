// What a request says that matters to a cache, read in one pass over its fields.

import type { Call } from '../../core/call.ts'
import { principal } from '../../core/principal.ts'
import { type RequestRules, readRequestRules } from './directives.ts'

/**
 * Hot path: one object per call, filled in one loop, because a hit looks at no field twice. `isPlain` says that a fresh reply may
 * be sent as it stands, without looking at anything else here.
 */
export interface Asked {
  isPlain: boolean
  host: string
  forwardedHost: string
  scheme: string
  hasCookie: boolean
  /** The call carries credentials, or was proven to be somebody's (RFC 9111 §3.5). */
  isIdentified: boolean
  /** No cache may stand between (preconditions of RFC 9110 §13.1.1 and §13.1.4), or the request may mean another one. */
  isBypass: boolean
  rules: RequestRules
  ifNoneMatch: string
  ifModifiedSince: string
  range: string
  ifRange: string
}

const noRules: RequestRules = readRequestRules([], '')

/** Fields by which some services take a request for another one, though no cache knows it: their replies are of no use to others. */
const disguises: ReadonlySet<string> = new Set([
  'x-http-method-override',
  'x-http-method',
  'x-method-override',
  'x-original-url',
  'x-rewrite-url',
  'x-original-host',
  'x-host',
  'x-http-host-override',
])

export function readAsked(call: Call, isObeying: boolean): Asked {
  const asked = nothingAsked(isKnown(call))
  const { list } = call.headers
  let control: string[] | null = null
  let pragma = ''
  for (let i = 1; i < list.length; i += 3) {
    const key = list[i] as string
    const value = list[i + 1] as string
    switch (key) {
      case 'host':
        asked.host = value
        break
      case 'x-forwarded-host':
        asked.forwardedHost = value
        break
      case 'x-forwarded-proto':
        asked.scheme = value
        break
      case 'cookie':
        asked.hasCookie = true
        break
      case 'cache-control':
        if (control === null) control = [value]
        else control.push(value)
        break
      case 'pragma':
        pragma = value
        break
      default:
        readRarer(asked, key, value)
    }
  }
  if (isObeying && (control !== null || pragma !== '')) {
    asked.rules = readRequestRules(control ?? [], pragma)
    asked.isPlain = false
  }
  return asked
}

function readRarer(asked: Asked, key: string, value: string): void {
  switch (key) {
    case 'authorization':
      asked.isIdentified = true
      return
    case 'if-none-match':
      asked.ifNoneMatch = joined(asked.ifNoneMatch, value)
      break
    case 'if-modified-since':
      asked.ifModifiedSince = value
      break
    case 'range':
      // Lines of one field are one list (RFC 9110 §5.3); several ranges, or nonsense, are for the reader of it to see.
      asked.range = joined(asked.range, value)
      break
    case 'if-range':
      asked.ifRange = joined(asked.ifRange, value)
      break
    case 'if-match':
    case 'if-unmodified-since':
      asked.isBypass = true
      break
    default:
      if (!key.startsWith('x') || !isDisguise(key)) return
      asked.isBypass = true
  }
  asked.isPlain = false
}

function joined(before: string, value: string): string {
  return before === '' ? value : `${before}, ${value}`
}

/** Also with underscores, which CGI and its kin take for dashes (docs/security.md). */
function isDisguise(key: string): boolean {
  return disguises.has(key.includes('_') ? key.replaceAll('_', '-') : key)
}

function nothingAsked(isIdentified: boolean): Asked {
  return {
    isPlain: true,
    host: '',
    forwardedHost: '',
    scheme: '',
    hasCookie: false,
    isIdentified,
    isBypass: false,
    rules: noRules,
    ifNoneMatch: '',
    ifModifiedSince: '',
    range: '',
    ifRange: '',
  }
}

function isKnown({ facts }: Call): boolean {
  const who = facts.get(principal)
  return who !== undefined && who.method !== 'anonymous'
}
