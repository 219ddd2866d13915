// Reading single parameters out of a query string, without building a table of all.

/** The first value of a parameter, with percent-encoding and `+` decoded; undefined where it is not there. */
export function queryValue(query: string, name: string): string | undefined {
  let found: string | undefined
  someQueryValue(query, name, value => {
    found = value
    return true
  })
  return found
}

/** Whether any value of the parameter equals this one; `*` asks only that the parameter is there. */
export function queryHas(query: string, name: string, value: string): boolean {
  return someQueryValue(query, name, found => value === '*' || found === value)
}

/** Calls `test` with each value of the parameter until it returns true. `query` may start with its `?`. */
function someQueryValue(query: string, name: string, test: (value: string) => boolean): boolean {
  let from = query.charCodeAt(0) === 0x3f ? 1 : 0
  while (from < query.length) {
    const next = query.indexOf('&', from)
    const end = next < 0 ? query.length : next
    const equals = query.indexOf('=', from)
    const nameEnd = equals < 0 || equals > end ? end : equals
    if (isNamed(query, from, nameEnd, name) && test(decodeForm(query.slice(nameEnd + 1, Math.max(end, nameEnd + 1))))) {
      return true
    }
    from = end + 1
  }
  return false
}

function isNamed(query: string, from: number, end: number, name: string): boolean {
  if (end - from === name.length && query.startsWith(name, from) && !/[%+]/.test(name)) return true
  const raw = query.slice(from, end)
  return /[%+]/.test(raw) && decodeForm(raw) === name
}

/** Decodes as browsers encode forms. What is no valid escape stays as it is; invalid UTF-8 becomes U+FFFD. */
export function decodeForm(text: string): string {
  if (!/[%+]/.test(text)) return text
  const spaced = text.replaceAll('+', ' ')
  return spaced.replace(/(?:%[0-9a-f]{2})+/gi, escapes =>
    Buffer.from(escapes.replaceAll('%', ''), 'hex').toString('utf8'),
  )
}
