// What a match asks besides host, path and method: listener, header fields and query parameters.

import type { MatchBlueprint } from '../../core/blueprint.ts'
import type { Call } from '../../core/call.ts'
import type { Headers } from '../../core/headers.ts'
import { queryHas } from '../../core/query.ts'

/** The part of a call by which it is routed. A Call is one. */
export type RouteQuery = Pick<Call, 'method' | 'path' | 'host' | 'headers' | 'query' | 'peer'>

export type Condition = (call: RouteQuery) => boolean

/**
 * Every condition of the match that is no part of the trie, null where there is none.
 *
 * A field or parameter that a call repeats matches when any of its values does: a client must not get around a policy by
 * sending a second value beside the one that the policy looks for.
 */
export function compileConditions(match: MatchBlueprint): Condition | null {
  const conditions: Condition[] = []
  const { listeners } = match
  if (listeners.length > 0) conditions.push(call => listeners.includes(call.peer.listener))
  for (const [name, value] of Object.entries(match.headers)) {
    const key = name.toLowerCase()
    if (value === '*') conditions.push(call => call.headers.has(key))
    else conditions.push(call => hasValue(call.headers, key, value))
  }
  for (const [name, value] of Object.entries(match.query)) conditions.push(call => queryHas(call.query, name, value))
  return allOf(conditions)
}

/** All of them, with the shortest way for few. Null for none. */
export function allOf(conditions: readonly Condition[]): Condition | null {
  const [first, second] = conditions
  if (first === undefined) return null
  if (second === undefined) return first
  if (conditions.length === 2) return call => first(call) && second(call)
  return call => {
    for (const condition of conditions) if (!condition(call)) return false
    return true
  }
}

function hasValue(headers: Headers, key: string, value: string): boolean {
  const list = headers.list
  for (let i = 1; i < list.length; i += 3) if (list[i] === key && list[i + 1] === value) return true
  return false
}
