// Names of fields, methods and cookies: what RFC 9110 §5.6.2 calls a token.

export function isHttpName(text: string): boolean {
  return /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(text)
}
