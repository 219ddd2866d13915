// Which fields of HTTP/1 have no place in HTTP/2.

/** RFC 9113 §8.2.2: with one of these a message is malformed. `key` is a name in lower case. */
export function isConnectionField(key: string): boolean {
  return connectionFields.has(key)
}

const connectionFields: ReadonlySet<string> = new Set(
  'connection keep-alive proxy-connection transfer-encoding upgrade'.split(' '),
)
