// From the resolved config as the user arranged it to the blueprint's arrangement. Places travel with the values.

import type { MatchBlueprint } from '../core/blueprint.ts'
import { type Found, leaf } from './found.ts'
import { partOf, partsOf } from './found-read.ts'

/** The blueprint with its places; its value is a `Blueprint` unless it is broken. */
export function assemble(config: Found): Found {
  const parts: [string, Found][] = []
  const globalPolicies = partsOf(partOf(config, 'policies')).map(policy => inRoute(policy, true))
  for (const [key, part] of config.children ?? []) {
    if (key === 'listeners') parts.push(['listeners', mapItems(part, namedListener)])
    else if (key === 'drain') parts.push(['drainMs', part])
    else if (key === 'routes') parts.push(['routes', routesOf(part, globalPolicies)])
    else if (key !== 'policies') parts.push([String(key), part])
  }
  return objectOf(config, parts)
}

function namedListener(listener: Found): Found {
  const name = partOf(listener, 'name')
  const port = partOf(listener, 'port')
  if (name === null || port === null || name.value !== '') return listener
  return withParts(listener, { name: { ...name, value: String(port.value), span: port.span } })
}

function routesOf(routes: Found, globalPolicies: readonly Found[]): Found {
  const taken = new Set(partsOf(routes).map(route => partOf(route, 'name')?.value))
  return mapItems(routes, route => {
    const parts = new Map(route.children)
    const match = mapItems(parts.get('match') ?? null, normalMatch)
    const own = parts.get('policies') ?? null
    const upgrade = parts.get('upgrade')
    const end = parts.get('end')
    const options = parts.get('options')
    const name = parts.get('name') ?? null
    const made: [string, Found][] = []
    if (name !== null) made.push(['name', name.value === '' ? { ...name, value: madeName(match, taken) } : name])
    if (match !== null) made.push(['match', match])
    if (own !== null)
      made.push(['policies', listOf(own, [...globalPolicies, ...partsOf(own).map(policy => inRoute(policy, false))])])
    if (end !== undefined && options !== undefined) {
      made.push([
        'end',
        objectOf({ ...end, isBroken: options.isBroken }, [
          ['end', end],
          ['options', options],
        ]),
      ])
    }
    if (upgrade !== undefined) made.push(['upgrades', mapItems(upgrade, lowerCased)])
    return objectOf(route, made)
  })
}

/** A name from the first match, such as `GET /ping`, told apart by a number where it is taken. */
function madeName(match: Found | null, taken: Set<unknown>): string {
  const first = partOf(match, 0)
  const path = partOf(first, 'path')?.value
  const methods = partsOf(partOf(first, 'methods')).map(method => String(method.value))
  const host = partOf(partOf(first, 'hosts'), 0)?.value
  const target = `${typeof host === 'string' ? host : ''}${typeof path === 'string' ? path : '/**'}`
  const base = methods.length === 0 ? target : `${methods.join(',')} ${target}`
  let name = base
  for (let count = 2; taken.has(name); count++) name = `${base} #${count}`
  taken.add(name)
  return name
}

function inRoute(policy: Found, isGlobal: boolean): Found {
  const normal = normalPolicy(policy)
  const mark = leaf(isGlobal, policy.span, { name: 'isGlobal', keySpan: null })
  return objectOf(normal, [
    ...[...(normal.children ?? [])].map(([key, part]): [string, Found] => [String(key), part]),
    ['isGlobal', mark],
  ])
}

function normalPolicy(policy: Found): Found {
  const when = partOf(policy, 'when')
  return when === null ? policy : withParts(policy, { when: mapItems(when, normalMatch) ?? when })
}

/** Header names are compared in lower case. */
function normalMatch(match: Found): Found {
  const headers = partOf(match, 'headers')
  if (headers === null || headers.children === null) return match
  const parts = [...headers.children].map(([name, value]): [string, Found] => [String(name).toLowerCase(), value])
  return withParts(match, { headers: objectOf(headers, parts) } satisfies Partial<Record<keyof MatchBlueprint, Found>>)
}

function lowerCased(token: Found): Found {
  return typeof token.value === 'string' ? { ...token, value: token.value.toLowerCase() } : token
}

function mapItems(list: Found, change: (item: Found) => Found): Found
function mapItems(list: Found | null, change: (item: Found) => Found): Found | null
function mapItems(list: Found | null, change: (item: Found) => Found): Found | null {
  if (list === null || list.children === null) return list
  return listOf(list, partsOf(list).map(change))
}

function listOf(at: Found, items: readonly Found[]): Found {
  const isBroken = at.isBroken || items.some(item => item.isBroken)
  return { ...at, value: items.map(item => item.value), isBroken, children: new Map(items.entries()) }
}

function withParts(at: Found, changed: Readonly<Record<string, Found>>): Found {
  return objectOf(
    at,
    [...(at.children ?? [])].map(([key, part]) => [String(key), changed[key] ?? part]),
  )
}

function objectOf(at: Found, parts: readonly [string, Found][]): Found {
  const value = Object.fromEntries(parts.map(([key, part]) => [key, part.value]))
  const isBroken = at.isBroken || parts.some(([, part]) => part.isBroken)
  return { ...at, value, isBroken, children: new Map(parts) }
}
