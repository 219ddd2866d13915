// Cipher suites by name, and the lists that have a name of their own.

/** Forward secrecy and authenticated encryption; what Mozilla recommends as "intermediate", without finite-field DHE. */
const intermediate = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
]

/** Also clients that know no authenticated encryption: still forward secret. */
const compatible = [
  ...intermediate,
  'ECDHE-ECDSA-AES128-SHA256',
  'ECDHE-RSA-AES128-SHA256',
  'ECDHE-ECDSA-AES128-SHA',
  'ECDHE-RSA-AES128-SHA',
  'ECDHE-ECDSA-AES256-SHA',
  'ECDHE-RSA-AES256-SHA',
]

export const cipherLists: Readonly<Record<string, readonly string[]>> = { intermediate, compatible }

/**
 * The suites of a config, in their order, as OpenSSL takes them. Each version of TLS goes by the suites that are its own; one of
 * which none is named has those of `intermediate`, so that a list for TLS 1.2 does not turn TLS 1.3 off.
 */
export function cipherText(written: readonly string[]): string {
  const named = [...new Set(written.flatMap(name => cipherLists[name] ?? [name.toUpperCase()]))]
  return [true, false]
    .flatMap(isNewest => {
      const own = named.filter(name => isOfNewest(name) === isNewest)
      return own.length > 0 ? own : intermediate.filter(name => isOfNewest(name) === isNewest)
    })
    .join(':')
}

/** Whether a suite is one of TLS 1.3. */
export function isOfNewest(name: string): boolean {
  return name.startsWith('TLS_')
}
