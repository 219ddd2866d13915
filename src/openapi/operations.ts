// Which operation of a document a call is for: path templates in a tree, and their methods.

import { fieldsAt, type OpenApiDocument } from './document.ts'
import { DocumentError, type Fields, isFields, member, within } from './part.ts'

export interface OperationPart {
  readonly method: string
  /** The template as written. */
  readonly path: string
  readonly operation: { readonly value: Fields; readonly pointer: string }
  /** Of the path and of the operation; those of the operation win. */
  readonly parameters: readonly { readonly value: Fields; readonly pointer: string }[]
}

const methods = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace']

/** All operations of a document. @throws DocumentError */
export function operationsOf(document: OpenApiDocument): OperationPart[] {
  const paths = member(document.root, 'paths')
  return Object.entries(isFields(paths) ? paths : {}).flatMap(([path, written]) => {
    if (path.startsWith('x-')) return []
    const pointer = within('/paths', path)
    if (!path.startsWith('/'))
      throw new DocumentError('this path does not start with a slash', pointer, `Write \`/${path}\`.`)
    const item = fieldsAt(document, { value: written, pointer })
    const shared = parametersOf(document, item)
    return methods.flatMap(method => {
      const value = member(item.value, method)
      if (value === undefined) return []
      const operation = fieldsAt(document, { value, pointer: within(item.pointer, method) })
      const own = parametersOf(document, operation)
      const keys = new Set(own.map(keyOf))
      const parameters = [...shared.filter(parameter => !keys.has(keyOf(parameter))), ...own]
      return { method: method.toUpperCase(), path, operation, parameters }
    })
  })
}

function parametersOf(document: OpenApiDocument, { value, pointer }: { value: Fields; pointer: string }) {
  const list = member(value, 'parameters') ?? []
  const at = within(pointer, 'parameters')
  if (!Array.isArray(list)) throw new DocumentError('`parameters` is not a list', at, 'Write a list.')
  return list.map((item: unknown, index) => fieldsAt(document, { value: item, pointer: within(at, index) }))
}

function keyOf({ value }: { value: Fields }): string {
  return `${String(member(value, 'in'))}:${String(member(value, 'name'))}`
}

export interface Match<T> {
  readonly operation: T
  /** Raw texts of the path parameters, by name. */
  readonly params: ReadonlyMap<string, string>
}

interface Node<T> {
  /** By decoded text. */
  readonly literals: Map<string, Node<T>>
  readonly mixed: {
    readonly source: string
    readonly pattern: RegExp
    readonly charactersMax: number
    readonly node: Node<T>
  }[]
  param: Node<T> | null
  /** By method, with the names of the path parameters in order. */
  readonly operations: Map<string, Leaf<T>>
}

/** By parameters of one segment: longer segments fit no such template, as trying takes the length to the power of these. */
const mixedCharactersMax = [0, 10_000, 1_000, 200, 60]

export class Operations<T> {
  readonly #root = makeNode<T>()

  /** @throws DocumentError for a template that is malformed or means the same as another. */
  add(method: string, path: string, operation: T): void {
    const names: string[] = []
    let node = this.#root
    const wrong = (what: string, hint: string) => new DocumentError(what, within('/paths', path), hint)
    for (const segment of path.slice(1).split('/')) {
      const pieces = segment.split(/\{([^{}]*)\}/)
      if (pieces.some((piece, index) => index % 2 === 0 && /[{}]/.test(piece)))
        throw wrong('braces do not match', 'Write `{name}`.')
      const found = pieces.filter((_, index) => index % 2 === 1)
      for (const name of found) {
        if (name === '' || names.includes(name))
          throw wrong('a path parameter has no name or stands twice', 'Give each its own name.')
        names.push(name)
      }
      if (found.length >= mixedCharactersMax.length)
        throw wrong('a segment has too many parameters', 'Write four at most.')
      node = step(node, pieces)
    }
    if (node.operations.has(method))
      throw wrong(`${method} of this path means the same as that of another path`, 'Remove one of the two.')
    node.operations.set(method, { operation, names })
  }

  /** `path` is raw, as it stands in a request target. Text goes before parameters. */
  find(method: string, path: string): Match<T> | null {
    const segments = path.slice(1).split('/')
    const values: string[] = []
    const found = search(this.#root, segments, 0, method, values)
    if (found === null) return null
    return {
      operation: found.operation,
      params: new Map(found.names.map((name, index) => [name, values[index] ?? ''])),
    }
  }
}

function makeNode<T>(): Node<T> {
  return { literals: new Map(), mixed: [], param: null, operations: new Map() }
}

function step<T>(node: Node<T>, pieces: readonly string[]): Node<T> {
  const [text = '', , after = ''] = pieces
  if (pieces.length === 1) {
    const literal = decoded(text)
    const next = node.literals.get(literal) ?? makeNode<T>()
    node.literals.set(literal, next)
    return next
  }
  if (pieces.length === 3 && text === '' && after === '') {
    node.param ??= makeNode<T>()
    return node.param
  }
  const source = pieces.map((piece, index) => (index % 2 === 1 ? '(.+)' : RegExp.escape(piece))).join('')
  const known = node.mixed.find(other => other.source === source)
  if (known !== undefined) return known.node
  const next = makeNode<T>()
  const charactersMax = mixedCharactersMax[(pieces.length - 1) / 2] ?? 0
  node.mixed.push({ source, pattern: new RegExp(`^${source}$`, 's'), charactersMax, node: next })
  return next
}

interface Leaf<T> {
  readonly operation: T
  readonly names: readonly string[]
}

function search<T>(
  node: Node<T>,
  segments: readonly string[],
  at: number,
  method: string,
  values: string[],
): Leaf<T> | null {
  if (at === segments.length) return node.operations.get(method) ?? null
  const segment = segments[at] ?? ''
  const literal = node.literals.get(decoded(segment))
  const found = literal === undefined ? null : search(literal, segments, at + 1, method, values)
  if (found !== null) return found
  const depth = values.length
  for (const { pattern, node: next, charactersMax } of node.mixed) {
    if (segment.length > charactersMax) continue
    const match = pattern.exec(segment)
    if (match === null) continue
    values.push(...match.slice(1))
    const inner = search(next, segments, at + 1, method, values)
    if (inner !== null) return inner
    values.length = depth
  }
  if (node.param === null || segment === '') return null
  values.push(segment)
  const inner = search(node.param, segments, at + 1, method, values)
  if (inner === null) values.length = depth
  return inner
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
