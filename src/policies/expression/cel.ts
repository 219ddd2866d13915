// Compiles an expression of the Common Expression Language to a test of a call, and keeps out what has no bound.

import { type ASTNode, Environment } from '@marcbachmann/cel-js'
import type { Call } from '../../core/call.ts'
import { OptionsError } from '../../core/policy.ts'
import { principal, type Principal } from '../../core/principal.ts'

export interface Expression {
  /** Whether it mentions `principal`. */
  readonly needsPrincipal: boolean
  /** What the expression comes to. @throws Error where it cannot be worked out. */
  evaluate(call: Call, nowMs: number): unknown
}

const charactersMax = 2000
const limits = { maxAstNodes: 200, maxDepth: 24, maxListElements: 200, maxMapEntries: 20, maxCallArguments: 4 }

/** The variables, and how each is made for a call. */
const variables: Readonly<Record<string, (call: Call, nowMs: number) => unknown>> = {
  request: requestOf,
  client: call => ({ address: call.clientAddress }),
  route: call => call.route,
  params: paramsOf,
  principal: call => describe(call.facts.get(principal)),
  now: (_, nowMs) => new Date(nowMs),
}

const types: Readonly<Record<string, string>> = { route: 'string', now: 'google.protobuf.Timestamp' }

/** What the variables hold whose parts are known; any other part would make the expression fail for every call. */
const members: Readonly<Record<string, readonly string[]>> = {
  request: ['method', 'path', 'host', 'scheme', 'headers', 'query'],
  client: ['address'],
  principal: ['id', 'method', 'scopes', 'claims', 'consumer', 'application'],
}

/** Functions whose time grows with what they are given and no faster. `matches` is not among them: a pattern may take for ever. */
const functions: ReadonlySet<string> = new Set(
  'has size int double string bool timestamp duration startsWith endsWith contains exists all exists_one'.split(' '),
)
const loops: ReadonlySet<string> = new Set(['exists', 'all', 'exists_one'])

/** @throws OptionsError below `path` for what is no expression, is of another type than bool, or has no bound. */
export function compileExpression(text: string, path: readonly (string | number)[] = []): Expression {
  if (text.length > charactersMax) {
    throw new OptionsError(`the expression has more than ${charactersMax} characters`, path, 'Say it in two policies.')
  }
  const environment = new Environment({ limits })
  for (const name of Object.keys(variables)) environment.registerVariable(name, types[name] ?? 'map<string, dyn>')
  const program = parsed(() => environment.parse(text), text, path)
  const mentioned = new Set<string>()
  inspect(program.ast, mentioned, false, path)
  const { valid, type = 'dyn', error } = program.check()
  if (!valid) throw refusal(text, error, path)
  if (type !== 'bool' && type !== 'dyn') {
    throw new OptionsError(`the expression comes to ${type}, not to true or false`, path, 'Compare it with something.')
  }
  const makers = Object.entries(variables).filter(([name]) => mentioned.has(name))
  return {
    needsPrincipal: mentioned.has('principal'),
    evaluate(call, nowMs) {
      const values: Record<string, unknown> = {}
      for (const [name, make] of makers) values[name] = make(call, nowMs)
      return program(values) as unknown
    },
  }
}

function parsed<T>(parse: () => T, text: string, path: readonly (string | number)[]): T {
  try {
    return parse()
  } catch (error) {
    throw refusal(text, error, path)
  }
}

function refusal(text: string, error: unknown, path: readonly (string | number)[]): OptionsError {
  const { message, range } = error as { message?: string; range?: { start: number } }
  const reason = (message ?? String(error)).split('\n', 1)[0] ?? ''
  const place = range === undefined ? '' : ` at «${text.slice(range.start, range.start + 20)}»`
  const known = Object.keys(variables).join('`, `')
  return new OptionsError(`the expression cannot be used${place}: ${reason}`, path, `Variables are \`${known}\`.`)
}

/** Notes the names that are mentioned and refuses functions that are not known to end soon. */
function inspect(part: unknown, mentioned: Set<string>, isInLoop: boolean, path: readonly (string | number)[]): void {
  if (Array.isArray(part)) {
    for (const item of part) inspect(item, mentioned, isInLoop, path)
    return
  }
  if (!isNode(part)) return
  let isLoop = false
  if (part.op === 'id') mentioned.add(part.args)
  if (part.op === '.') checkMember(part.args, path)
  if (part.op === 'call' || part.op === 'rcall') {
    const [name] = part.args
    if (!functions.has(name)) {
      const hint = `There are \`${[...functions].join('`, `')}\`.`
      throw new OptionsError(`the expression may not use \`${name}\``, path, hint)
    }
    isLoop = loops.has(name)
    if (isLoop && isInLoop) {
      throw new OptionsError(
        `\`${name}\` stands inside another loop`,
        path,
        'Only one list may be gone through at a time.',
      )
    }
  }
  inspect(part.args, mentioned, isInLoop || isLoop, path)
}

function checkMember([whole, name]: readonly [ASTNode, string], path: readonly (string | number)[]): void {
  if (whole.op !== 'id') return
  const known = Object.hasOwn(members, whole.args) ? members[whole.args] : undefined
  if (known === undefined || known.includes(name)) return
  throw new OptionsError(`\`${whole.args}\` has no \`${name}\``, path, `It has \`${known.join('`, `')}\`.`)
}

function isNode(part: unknown): part is ASTNode {
  return typeof part === 'object' && part !== null && 'op' in part && 'args' in part
}

function requestOf(call: Call): object {
  const headers = new Map<string, string>()
  const { list } = call.headers
  for (let i = list.length - 3; i >= 0; i -= 3) headers.set(list[i + 1] as string, list[i + 2] as string)
  const query = new Map<string, string>()
  for (const [name, value] of new URLSearchParams(call.query)) if (!query.has(name)) query.set(name, value)
  return {
    ...{ method: call.method, path: call.path, host: call.host, scheme: call.peer.scheme },
    ...{ query, headers },
  }
}

function paramsOf(call: Call): Map<string, string> {
  const params = new Map<string, string>()
  for (const name of call.pattern?.paramNames ?? []) {
    const value = call.param(name)
    if (value !== undefined) params.set(name, value)
  }
  return params
}

/** Nobody, where no policy proved who calls: every look at it fails, and so the call is refused. */
function describe(who: Principal | undefined): object {
  if (who === undefined) return {}
  const { id, method, scopes, claims, consumer, application } = who
  return {
    ...{ id, method, scopes, claims },
    ...(consumer !== null && { consumer }),
    ...(application !== null && { application }),
  }
}
