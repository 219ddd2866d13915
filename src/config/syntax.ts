// Says in plain words what the YAML library says in YAML's.

import { type Document, isCollection, isScalar, visit, type YAMLError } from 'yaml'
import type { Finding, Source } from './problem.ts'

/**
 * The first fault of a document; null when it has none. Only the first: what a parser reports after losing its way is mostly
 * an echo.
 */
export function syntaxFinding(document: Document.Parsed, source: Source): Finding | null {
  const fault = [...document.errors, ...document.warnings].toSorted((a, b) => a.pos[0] - b.pos[0])[0]
  if (fault === undefined) return null
  const opening = openingOf(fault, document, source)
  if (opening !== null) {
    const [start, sign] = opening
    const hint = closings[sign] ?? ''
    return { message: `this \`${sign}\` is not closed`, hint, span: { source, start, end: start + 1 } }
  }
  const [, , message, hint] = words.find(([code, part]) => fault.code === code && fault.message.includes(part)) ?? []
  const span = { source, ...spanOf(fault, source.text) }
  return { message: message ?? `this is not valid YAML: ${fault.message}`, hint: hint ?? '', span }
}

const closings: Readonly<Record<string, string>> = {
  '[': 'Put a `]` behind the last item.',
  '{': 'Put a `}` behind the last entry, and check the brackets inside.',
  '"': 'Put a `"` at the end of the text.',
  "'": "Put a `'` at the end of the text.",
}

/** Code, part of the library's message, our message, how to mend it. */
const words: readonly (readonly [string, string, string, string])[] = [
  ['TAB_AS_INDENT', '', 'this line is indented with a tab', 'Indent with spaces: YAML forbids tabs.'],
  ['MULTIPLE_DOCS', '', 'a second document begins here', 'Remove the line `---`, or make two files in one folder.'],
  ['MISSING_CHAR', 'Sequence item without', 'this line is indented unlike its neighbours', indentHint()],
  ['BAD_INDENT', 'same column', 'this line is indented unlike its neighbours', indentHint()],
  ['MULTILINE_IMPLICIT_KEY', '', 'a key lacks its colon', 'Write `key: value`, or `key:` and its entries below.'],
  [
    'MISSING_CHAR',
    'Implicit map keys',
    'a key lacks its colon',
    'Write `key: value`, or `key:` and its entries below.',
  ],
  ['MISSING_CHAR', 'Missing , ', 'a comma is missing before this', 'Put a comma between two items.'],
  ['BLOCK_AS_IMPLICIT_KEY', 'Nested mappings', 'this line holds two keys', colonHint()],
  ['BLOCK_AS_IMPLICIT_KEY', '', 'a list cannot begin on the line of its key', 'Write `- ` on the next line.'],
  ['BLOCK_IN_FLOW', '', 'there are two keys in one place', colonHint()],
  ['UNEXPECTED_TOKEN', '-start at node end', 'a text with brackets or braces must stand in quotes here', bracesHint()],
  ['BAD_SCALAR_START', '', 'a plain text cannot begin with this sign', 'Put the text in quotes.'],
  ['BAD_DQ_ESCAPE', '', 'this escape does not exist', 'Write `\\\\` for a backslash, or use single quotes.'],
  [
    'TAG_RESOLVE_FAILED',
    '',
    'tags such as this are not used here',
    'A text that begins with `!` must stand in quotes.',
  ],
  ['BAD_ALIAS', '', 'a name is missing here', 'A text that begins with `*` or `&` must stand in quotes.'],
]

function indentHint(): string {
  return 'Keys of one map, and the `-` of one list, stand below each other.'
}

function bracesHint(): string {
  return 'Write `{ path: "/users/{id}" }`: inside brackets and braces, others need quotes.'
}

function colonHint(): string {
  return 'Put a text that holds `: ` in quotes, or keys of a map in braces.'
}

/** The bracket or quote that is open at the fault, with its place. */
function openingOf(fault: YAMLError, document: Document.Parsed, source: Source): [number, string] | null {
  if (!/end with a [\]}]$|^Missing closing/.test(fault.message)) return null
  let found: [number, string] | null = null
  visit(document, {
    Node(_, node) {
      const [start, end] = node.range ?? [0, 0]
      const sign = source.text.charAt(start)
      const isOpening = (isCollection(node) && /[[{]/.test(sign)) || (isScalar(node) && /["']/.test(sign))
      if (isOpening && start < fault.pos[0] && end >= fault.pos[0]) found = [start, sign]
    },
  })
  return found
}

/** The span of a fault, moved from white space before a word to the word. */
function spanOf(fault: YAMLError, text: string): { start: number; end: number } {
  const [from, to] = fault.pos
  let start = Math.min(from, text.length)
  while (text[start] === ' ' || text[start] === '\t') start++
  return { start, end: Math.max(start + 1, to) }
}
