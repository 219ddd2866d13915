// Which octets may stand where in a message head (RFC 9110 §5.5, §5.6.2; RFC 9112 §3).

/** 1 for the octets of a token: method, field name. */
export const tokenOctets: Uint8Array = tableOf(octet => {
  const character = String.fromCharCode(octet)
  return /^[A-Za-z0-9!#$%&'*+.^_`|~-]$/.test(character)
})

/** 1 for the octets of a field value: visible ASCII, space, tab and obs-text. */
export const valueOctets: Uint8Array = tableOf(octet => octet === 9 || (octet >= 32 && octet !== 127))

/** 1 for the octets that may stand in a request target: visible ASCII. Stricter rules for the path are in path.ts. */
export const targetOctets: Uint8Array = tableOf(octet => octet > 32 && octet < 127)

export const CR = 13
export const LF = 10
export const SP = 32
export const TAB = 9
export const COLON = 58

function tableOf(allows: (octet: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, octet) => (allows(octet) ? 1 : 0))
}
