// Finds matches that no call can ever reach, because earlier routes take exactly the same calls.

import type { MatchBlueprint, RouteBlueprint } from '../../core/blueprint.ts'
import { compilePattern, type PathCase } from '../../core/pattern.ts'
import { normaliseHost } from './router.ts'

interface MatchPlace {
  readonly route: string
  readonly routeIndex: number
  readonly matchIndex: number
}

export interface Conflict {
  /** The match that gets the calls. */
  readonly first: MatchPlace
  /** The match, further down, that never gets one. */
  readonly second: MatchPlace
}

/**
 * Every match for which an earlier match of another route has the same hosts, path shape (whatever the parameters are
 * called), methods, header matches, query matches and listeners, or more of them.
 *
 * A match is cut into cells of one host, method and listener each; a cell belongs to the first who writes it. The work is
 * proportional to the number of cells.
 */
export function findConflicts(
  routes: readonly Pick<RouteBlueprint, 'name' | 'match'>[],
  pathCase: PathCase = 'sensitive',
): Conflict[] {
  const owners = new Map<string, MatchPlace>()
  const conflicts: Conflict[] = []
  routes.forEach((route, routeIndex) => {
    route.match.forEach((match, matchIndex) => {
      const place: MatchPlace = { route: route.name, routeIndex, matchIndex }
      const first = takeCells(owners, match, place, pathCase)
      if (first !== null && first.routeIndex !== routeIndex) conflicts.push({ first, second: place })
    })
  })
  return conflicts
}

/** Takes the free cells of a match. The owner of the others when none was free, else null. */
function takeCells(
  owners: Map<string, MatchPlace>,
  match: MatchBlueprint,
  place: MatchPlace,
  pathCase: PathCase,
): MatchPlace | null {
  const conditions = [
    shapeOf(match.path ?? '/**', pathCase),
    fieldsOf(match.headers, true),
    fieldsOf(match.query, false),
  ]
  let owner: MatchPlace | null = null
  let isReachable = false
  for (const host of orAny(match.hosts.map(normaliseHost))) {
    for (const method of orAny(match.methods)) {
      for (const listener of orAny(match.listeners)) {
        const key = JSON.stringify([host, method, ...conditions, listener])
        const other = owners.get(key) ?? owners.get(JSON.stringify([host, method, ...conditions, '*']))
        if (other !== undefined) owner ??= other
        else {
          isReachable = true
          owners.set(key, place)
        }
      }
    }
  }
  return isReachable ? null : owner
}

function orAny(names: readonly string[]): readonly string[] {
  return names.length === 0 ? ['*'] : [...new Set(names)]
}

function shapeOf(path: string, pathCase: PathCase): string {
  const { segments, isPrefix } = compilePattern(path, pathCase)
  // Encoded, so that a literal brace or star is told from a parameter or prefix.
  const texts = segments.map(segment => (segment.kind === 'param' ? '/{}' : `/${encodeURIComponent(segment.text)}`))
  return texts.join('') + (isPrefix ? '/**' : '')
}

function fieldsOf(fields: Readonly<Record<string, string>>, isCaseless: boolean): string {
  const pairs = Object.entries(fields).map(([name, value]) => [isCaseless ? name.toLowerCase() : name, value] as const)
  return JSON.stringify(pairs.sort(([a], [b]) => (a < b ? -1 : 1)))
}
