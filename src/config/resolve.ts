// Sources to blueprint: the stages in order. Every mistake is reported at once, at its place.

import { dirname, resolve as resolvePath } from 'node:path'
import type { Blueprint } from '../core/blueprint.ts'
import { compilePattern } from '../core/pattern.ts'
import { OptionsError } from '../core/policy.ts'
import { compileTemplate } from '../core/template.ts'
import { assemble } from './assemble.ts'
import { checkListeners } from './check-listeners.ts'
import { checkOverload } from './check-overload.ts'
import { checkRoutes } from './check-routes.ts'
import { checkTls } from './check-tls.ts'
import { checkStores } from './check-stores.ts'
import { checkUpstreams } from './check-upstreams.ts'
import { checkConsumers } from './check-consumers.ts'
import { keyDigestFormat, secretFormat } from './format-secrets.ts'
import { type Fault, fault, plainFormats } from './formats.ts'
import type { FormatInPlace, Found } from './found.ts'
import { headSpan, partAt } from './found-read.ts'
import { type Language, languageSchema } from './language.ts'
import { merge } from './merge.ts'
import { parse } from './parse.ts'
import { type Finding, type Position, positionOf, type Problem, problemsOf, type Source, type Span } from './problem.ts'
import { reasonOf, relativeHint, type Surroundings } from './substitute.ts'
import { walk } from './walk.ts'

export interface ResolveInput {
  readonly sources: readonly Source[]
  readonly language: Language
  readonly surroundings: Surroundings
  /** Checks that another part makes on a blueprint without problems, such as the router's for routes that conflict. */
  readonly extraChecks?: (blueprint: Blueprint) => readonly ExtraProblem[]
}

export interface ExtraProblem {
  /** Leads to the culprit inside the blueprint. */
  readonly path: readonly (string | number)[]
  readonly message: string
  readonly hint: string
}

export type Resolution = Resolved | Refused

export interface Resolved {
  readonly ok: true
  readonly blueprint: Blueprint
  /** The blueprint with its secrets covered, for people. */
  readonly shown: unknown
  /** Texts of the files that the blueprint names, by absolute path. */
  readonly files: Readonly<Record<string, string>>
  /** Where a part of the blueprint is written; the nearest place around it for a default. */
  readonly where: (path: readonly (string | number)[]) => Position
  /** Absolute paths of all files that were read. */
  readonly filesRead: readonly string[]
}

export interface Refused {
  readonly ok: false
  readonly problems: readonly Problem[]
  /** Absolute paths of all files that were read or looked for. */
  readonly filesRead: readonly string[]
}

/** Never throws for what is written in the sources. */
export function resolve(input: ResolveInput): Resolution {
  const { sources, language } = input
  const findings: Finding[] = []
  const files: Record<string, string> = {}
  const filesRead = new Set(sources.map(source => source.path))
  const surroundings: Surroundings = {
    env: input.surroundings.env,
    readText(path) {
      filesRead.add(path)
      return input.surroundings.readText(path)
    },
  }
  const refuse = (): Refused => ({ ok: false, problems: problemsOf(findings, sources), filesRead: [...filesRead] })

  const trees = sources.flatMap(source => parse(source, surroundings, findings) ?? [])
  const tree = merge(trees, findings)
  if (tree === null) {
    if (findings.length === 0)
      findings.push({ message: 'the config is empty', hint: emptyHint, span: startOf(sources) })
    return refuse()
  }
  const formats = {
    ...{ ...plainFormats, template, pattern, file: fileFormat(surroundings, files) },
    ...{ folder, secret: secretFormat, 'key-digest': keyDigestFormat },
  }
  const config = walk(tree, languageSchema(language), { name: '', keySpan: null }, { formats, findings })
  const found = assemble(config)
  checkListeners(found, findings)
  checkTls(found, findings)
  checkUpstreams(found, findings)
  checkOverload(found, findings)
  checkConsumers(found, findings)
  checkRoutes(config, found, language, path => files[path] ?? '', findings)
  checkStores(config, findings)
  if (findings.length > 0 || found.isBroken) return refuse()
  // The border where the resolved value gets its type: it went along the schemas that the type is made of.
  const blueprint = found.value as Blueprint
  findings.push(...extraFindings(input, blueprint, found))
  if (findings.length > 0) return refuse()
  const where = (path: readonly (string | number)[]) => positionOf(headSpan(partAt(found, path)))
  return { ok: true, blueprint, shown: shownOf(found), files, where, filesRead: [...filesRead] }
}

const emptyHint = 'Write at least one route, such as `routes: [{ match: { path: /ping }, reply: { body: pong } }]`.'

function startOf(sources: readonly Source[]): Span | null {
  const [source] = sources
  return source === undefined ? null : { source, start: 0, end: 0 }
}

function extraFindings(input: ResolveInput, blueprint: Blueprint, found: Found): Finding[] {
  const problems = input.extraChecks?.(blueprint) ?? []
  return problems.map(({ path, message, hint }) => ({ message, hint, span: headSpan(partAt(found, path)) }))
}

/** The value with whatever is of the format `secret` covered. */
function shownOf({ value, children, format }: Found): unknown {
  if (children === null) return format === 'secret' ? '(secret)' : value
  const parts = [...children].map(([key, part]): [string | number, unknown] => [key, shownOf(part)])
  return Array.isArray(value) ? parts.map(([, part]) => part) : Object.fromEntries(parts)
}

function folder(text: string, span: Span): { value: unknown } | Fault {
  return text === '' ? fault('folder') : { value: resolvePath(dirname(span.source.path), text) }
}

function template(text: string): { value: unknown } | Fault {
  return compiled(text, () => compileTemplate(text))
}

function pattern(text: string): { value: unknown } | Fault {
  return compiled(text, () => compilePattern(text))
}

function compiled(text: string, compile: () => unknown): { value: unknown } | Fault {
  try {
    compile()
    return { value: text }
  } catch (error) {
    if (!(error instanceof OptionsError)) throw error
    return { expected: error.message, hint: error.hint, isSentence: true }
  }
}

function fileFormat(surroundings: Surroundings, files: Record<string, string>): FormatInPlace {
  return (text, span) => {
    if (text === '') return fault('file')
    const path = resolvePath(dirname(span.source.path), text)
    try {
      files[path] = surroundings.readText(path)
      return { value: path }
    } catch (error) {
      const expected = `the file \`${text}\` cannot be read: ${reasonOf(error)}`
      return { expected, hint: relativeHint, isSentence: true }
    }
  }
}
