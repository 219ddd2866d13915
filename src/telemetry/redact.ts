// Takes secrets out of URLs before they are logged: values of query parameters that are known to carry them.

/** In lower case, without `-`, `_` and `.`. */
const secretNames = new Set(
  (
    'key apikey xapikey subscriptionkey ocpapimsubscriptionkey privatekey accesskey accesskeyid secretkey ' +
    'token accesstoken refreshtoken idtoken authtoken bearertoken sessiontoken csrftoken resettoken xamzsecuritytoken ' +
    'xgoogsignature xamzsignature xamzcredential xgoogcredential signature sig hmac ' +
    'secret clientsecret sharedsecret password passwd passphrase pass pwd ' +
    'auth authorization credential credentials jwt assertion clientassertion samlresponse code session sessionid sid otp pin'
  ).split(' '),
)

/** Most queries hold nothing that looks like a secret's name, and are let through by one test. */
const mayHoldSecret =
  /key|token|sig|hmac|secret|pass|pwd|auth|credential|jwt|assertion|saml|code|session|sid|otp|pin|%/i

/** Names of query parameters that the config reads secrets from, besides those that are known everywhere. */
export class HiddenParameters {
  readonly #counts = new Map<string, number>()

  /** Hides a parameter until what is returned is closed. */
  hide(name: string): { close(): void } {
    const plain = normalise(name)
    this.#counts.set(plain, (this.#counts.get(plain) ?? 0) + 1)
    return {
      close: () => {
        const left = (this.#counts.get(plain) ?? 1) - 1
        if (left > 0) this.#counts.set(plain, left)
        else this.#counts.delete(plain)
      },
    }
  }

  get isEmpty(): boolean {
    return this.#counts.size === 0
  }

  has(normalised: string): boolean {
    return this.#counts.has(normalised)
  }
}

/** `?api_key=abc&page=2` as `?api_key=[redacted]&page=2`. `query` starts with `?` or is empty. */
export function redactQuery(query: string, hidden: HiddenParameters): string {
  if (hidden.isEmpty && !mayHoldSecret.test(query)) return query
  const parts = query
    .slice(1)
    .split('&')
    .map(part => redactParameter(part, hidden))
  return `?${parts.join('&')}`
}

/** The same for the query of a whole URL; a fragment may hold tokens as well and goes. */
export function redactUrl(url: string, hidden: HiddenParameters): string {
  const hash = url.indexOf('#')
  const whole = hash < 0 ? url : url.slice(0, hash)
  const at = whole.indexOf('?')
  const start = at < 0 ? whole : whole.slice(0, at)
  const query = at < 0 ? '' : redactQuery(whole.slice(at), hidden)
  return redactUserInfo(start) + query
}

function redactParameter(part: string, hidden: HiddenParameters): string {
  const equals = part.indexOf('=')
  if (equals < 0) return part
  const name = part.slice(0, equals)
  const plain = normalise(name)
  return secretNames.has(plain) || hidden.has(plain) ? `${name}=[redacted]` : part
}

function normalise(name: string): string {
  const spaced = name.replaceAll('+', ' ')
  const plain = spaced.includes('%') ? decode(spaced) : spaced
  return plain.toLowerCase().replace(/[-_.]/g, '')
}

/** A name with a broken escape is compared as it stands. */
function decode(name: string): string {
  try {
    return decodeURIComponent(name)
  } catch {
    return name
  }
}

/** `https://user:pass@host/` as `https://host/`. */
function redactUserInfo(url: string): string {
  return url.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@]*@/i, '$1')
}
