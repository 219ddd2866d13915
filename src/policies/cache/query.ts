// The query as it is part of the key: without parameters that change nothing, and in one order.

import { decodeForm } from '../../core/query.ts'

export interface QueryOptions {
  /** Names of the parameters that count; null for all. */
  readonly only: readonly string[] | null
  /** Names that do not count; `*` at the end for any ending. */
  readonly ignore: readonly string[]
  readonly sort: boolean
}

/** Null where the query counts as it stands. What it is given and returns begins with `?`, or is empty. */
export function compileQuery({ only, ignore, sort }: QueryOptions): ((query: string) => string) | null {
  if (only === null && ignore.length === 0 && !sort) return null
  const isWanted = only === null ? () => true : compileNames(only)
  const isIgnored = compileNames(ignore)
  return query => {
    if (query.length < 2) return ''
    const named = query
      .slice(1)
      .split('&')
      .map(pair => ({ pair, name: decodeForm(pair.split('=', 1)[0] ?? '') }))
      .filter(({ pair, name }) => pair !== '' && isWanted(name) && !isIgnored(name))
    // Those of one name keep their order.
    if (sort) named.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
    return named.length === 0 ? '' : `?${named.map(({ pair }) => pair).join('&')}`
  }
}

function compileNames(names: readonly string[]): (name: string) => boolean {
  const exact = new Set(names.filter(name => !name.endsWith('*')))
  const beginnings = names.filter(name => name.endsWith('*')).map(name => name.slice(0, -1))
  return name => exact.has(name) || beginnings.some(beginning => name.startsWith(beginning))
}
