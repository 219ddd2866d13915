// What the claims of a token must say (RFC 7519 §4.1).

export interface ClaimRules {
  readonly issuer: readonly string[]
  /** Empty: not looked at. */
  readonly audience: readonly string[]
  readonly clockSkew: number
  readonly maxAge: number | null
  readonly claims: Readonly<Record<string, { readonly oneOf: readonly (string | number | boolean)[] }>>
}

type Claims = Readonly<Record<string, unknown>>

/** Until when the token is good, milliseconds since the epoch, or why it is not. */
export function judgeClaims(claims: Claims, rules: ClaimRules, nowMs: number): number | string {
  const { issuer, audience, clockSkew } = rules
  if (typeof claims.iss !== 'string' || !issuer.includes(claims.iss)) return 'another issuer'
  if (audience.length > 0 && !listOf(claims.aud).some(name => audience.includes(name))) return 'another audience'
  if (claims.sub !== undefined && typeof claims.sub !== 'string') return 'the subject is malformed'
  for (const name of ['exp', 'nbf', 'iat']) {
    if (claims[name] !== undefined && !isDate(claims[name])) return `\`${name}\` is malformed`
  }
  if (!isDate(claims.exp)) return 'it has no expiry'
  let untilMs = claims.exp * 1000 + clockSkew
  if (isDate(claims.nbf) && claims.nbf * 1000 - clockSkew > nowMs) return 'not valid yet'
  if (isDate(claims.iat) && claims.iat * 1000 - clockSkew > nowMs) return 'issued in the future'
  if (rules.maxAge !== null) {
    if (!isDate(claims.iat)) return 'it does not say when it was issued'
    untilMs = Math.min(untilMs, claims.iat * 1000 + rules.maxAge + clockSkew)
  }
  if (nowMs >= untilMs) return 'expired'
  for (const [name, { oneOf }] of Object.entries(rules.claims)) {
    if (!Object.hasOwn(claims, name)) return `the claim ${name} is missing`
    const values: readonly unknown[] = Array.isArray(claims[name]) ? claims[name] : [claims[name]]
    if (oneOf.length > 0 && !oneOf.some(wanted => values.includes(wanted))) return `the claim ${name} is another`
  }
  return untilMs
}

function isDate(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 && value < 1e12
}

function listOf(value: unknown): readonly string[] {
  const list: readonly unknown[] = Array.isArray(value) ? value : [value]
  return list.filter((item): item is string => typeof item === 'string')
}
