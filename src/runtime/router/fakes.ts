// Matches, routes and calls for the router's tests.

import type { MatchBlueprint } from '../../core/blueprint.ts'
import { Headers } from '../../core/headers.ts'
import type { RouteQuery } from './conditions.ts'

export function makeMatch(given: Partial<MatchBlueprint> = {}): MatchBlueprint {
  return { hosts: [], path: null, methods: [], headers: {}, query: {}, listeners: [], ...given }
}

export interface FakeRoute {
  readonly name: string
  readonly match: readonly MatchBlueprint[]
}

export function makeRoute(name: string, ...matches: Partial<MatchBlueprint>[]): FakeRoute {
  return { name, match: matches.map(makeMatch) }
}

export interface QueryOptions {
  readonly method?: string
  readonly host?: string
  readonly query?: string
  readonly headers?: Record<string, string> | readonly (readonly [string, string])[]
  readonly listener?: string
}

export function makeQuery(path: string, options: QueryOptions = {}): RouteQuery {
  const { method = 'GET', host = 'api.acme.test', query = '', headers = {}, listener = '8080' } = options
  const peer = {
    address: '192.0.2.1',
    port: 1,
    local: { address: '192.0.2.9', port: 8080 },
    isTrusted: false,
    scheme: 'http',
    listener,
    certificate: null,
  } as const
  return { method, path, host, query, headers: Headers.of(headers), peer }
}
