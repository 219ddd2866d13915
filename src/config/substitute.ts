// Brings values from outside into scalars: `${env:NAME}` and `${file:PATH}`; `$${` is a plain `${`.

import { dirname, resolve } from 'node:path'
import type { Finding, Span } from './problem.ts'
import type { ScalarTree } from './tree.ts'

/** What of the outside a config may bring in. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>
  /** The text of a file by its absolute path. Throws when it cannot be read. */
  readText(path: string): string
}

const placeholder = /\$(\$\{)|\$\{([^}]*)\}?/g

/** The scalar of a text. What cannot be brought in is among the findings, at its own place. */
export function substitute(text: string, span: Span, surroundings: Surroundings, findings: Finding[]): ScalarTree {
  const raw = span.source.text.slice(span.start, span.end)
  if (!text.includes('${'))
    return { kind: 'scalar', value: text, written: text, isSubstituted: false, isFaulty: false, span }
  let isSubstituted = false
  let isFaulty = false
  const value = text.replace(placeholder, (whole, escaped: string | undefined, name: string | undefined) => {
    if (escaped !== undefined) return escaped
    const at = raw.indexOf(whole)
    const place = at === -1 ? span : { ...span, start: span.start + at, end: span.start + at + whole.length }
    const found = whole.endsWith('}') ? valueOf(name ?? '', place, surroundings) : unclosed(whole)
    if (typeof found === 'string') {
      isSubstituted = whole === text
      return found
    }
    findings.push({ ...found, span: place })
    isFaulty = true
    return ''
  })
  return { kind: 'scalar', value, written: text, isSubstituted, isFaulty, span }
}

function valueOf(name: string, span: Span, surroundings: Surroundings): string | { message: string; hint: string } {
  const colon = name.indexOf(':')
  const kind = name.slice(0, colon)
  const key = name.slice(colon + 1)
  if (colon !== -1 && kind === 'env') {
    const value = Object.hasOwn(surroundings.env, key) ? surroundings.env[key] : undefined
    if (value !== undefined) return value
    return { message: `the environment variable \`${key}\` is not set`, hint: `Set it before the start: ${key}=…` }
  }
  if (colon !== -1 && kind === 'file') {
    const path = resolve(dirname(span.source.path), key)
    try {
      return surroundings.readText(path).replace(/\r?\n$/, '')
    } catch (error) {
      return { message: `the file \`${key}\` cannot be read: ${reasonOf(error)}`, hint: relativeHint }
    }
  }
  const hint = `Write \`\${env:NAME}\` or \`\${file:PATH}\`; a plain \`\${\` is written \`$\${\`.`
  return { message: `\`\${${name}}\` is not known`, hint }
}

function unclosed(whole: string): { message: string; hint: string } {
  return {
    message: `\`${whole.slice(0, 20)}\` is not closed`,
    hint: 'Put a `}` behind it; a plain `${` is written `$${`.',
  }
}

export const relativeHint = 'Paths are relative to the folder of the config file.'

/** Why a file could not be read, in words. */
export function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'ENOENT') return 'there is no such file'
  if (code === 'EACCES') return 'no right to read it'
  if (code === 'EISDIR') return 'it is a folder'
  return error instanceof Error ? error.message : String(error)
}
