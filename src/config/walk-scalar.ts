// Checks single values: type, words to choose from, bounds, and formats with their units.

import { fault } from './formats.ts'
import { broken, type Found, leaf, mismatch, type Place, shown, type Walk } from './found.ts'
import type { Keywords } from './keywords.ts'
import { suggest } from './suggest.ts'
import type { ScalarTree, Tree } from './tree.ts'

export function walkScalar(tree: Tree, schema: Keywords, place: Place, along: Walk): Found {
  if (schema.enum !== undefined || 'const' in schema) return walkChoice(tree, schema, place, along)
  if (schema.type === 'null') {
    if (tree.kind === 'scalar' && tree.value === null) return leaf(null, tree.span, place)
    return broken(tree, place, along, ...mismatch(place, 'empty', tree, ''))
  }
  if (schema.format !== undefined) return walkFormat(tree, schema, schema.format, place, along)
  if (schema.type === 'string') return walkText(tree, schema, place, along)
  if (schema.type === 'boolean') return walkBoolean(tree, place, along)
  return walkNumber(tree, schema, place, along)
}

function walkChoice(tree: Tree, schema: Keywords, place: Place, along: Walk): Found {
  const words = schema.enum ?? [schema.const]
  if (tree.kind === 'scalar' && tree.value !== null) {
    // A word such as 502 or 1.3 is a number to YAML and means what is written.
    const word = words.find(known => known === tree.value || (known === tree.written && tree.value !== ''))
    if (word !== undefined) return leaf(word, tree.span, place)
    if (tree.isSubstituted && words.includes(tree.value)) return leaf(tree.value, tree.span, place)
  }
  const known = words.map(String)
  if (tree.kind !== 'scalar' || tree.value === null) {
    const expected = known.length === 1 ? `\`${known[0]}\`` : 'one word'
    return broken(tree, place, along, ...mismatch(place, expected, tree, suggest('', known, 'Choose one of')))
  }
  const message = `\`${place.name}\` cannot be ${shown(tree)}`
  return broken(tree, place, along, message, suggest(tree.written, known, 'Choose one of'))
}

function lengthFault(value: string, { minLength = 0 }: Keywords): string | null {
  if (value.length >= minLength) return null
  return minLength === 1 ? 'a text that is not empty' : `a text of at least ${minLength} characters`
}

function walkText(tree: Tree, schema: Keywords, place: Place, along: Walk): Found {
  if (tree.kind !== 'scalar' || typeof tree.value !== 'string') {
    return broken(tree, place, along, ...mismatch(place, 'a text', tree, quoteHint(tree)))
  }
  const { maxLength = Number.POSITIVE_INFINITY, pattern } = schema
  const { value } = tree
  const tooShort = lengthFault(value, schema)
  if (tooShort !== null) return broken(tree, place, along, ...mismatch(place, tooShort, tree, ''))
  if (value.length > maxLength) {
    return broken(tree, place, along, ...mismatch(place, `a text of at most ${maxLength} characters`, tree, ''))
  }
  if (pattern !== undefined && !new RegExp(pattern, 'u').test(value)) {
    const hint = schema.description ?? `It must match \`${pattern}\`.`
    return broken(tree, place, along, `\`${place.name}\` cannot be ${shown(tree)}`, hint)
  }
  return leaf(value, tree.span, place)
}

function walkFormat(tree: Tree, schema: Keywords, name: string, place: Place, along: Walk): Found {
  const isNumberFine = Array.isArray(schema.type) && schema.type.includes('integer')
  const isText = tree.kind === 'scalar' && typeof tree.value === 'string'
  const format = along.formats[name]
  if (tree.kind !== 'scalar' || (!isText && !(isNumberFine && typeof tree.value === 'number'))) {
    const wrong = fault(name)
    const isWritten = tree.kind === 'scalar' && tree.value !== null
    const hint = isWritten && (name === 'template' || name === 'file') ? quoteHint(tree) : wrong.hint
    return broken(tree, place, along, ...mismatch(place, wrong.expected, tree, hint))
  }
  if (format === undefined) return leaf(tree.value, tree.span, place, name)
  const outcome = format(typeof tree.value === 'string' ? tree.value : tree.written, tree.span)
  if ('value' in outcome) {
    const tooShort = typeof outcome.value === 'string' ? lengthFault(outcome.value, schema) : null
    if (tooShort !== null) return broken(tree, place, along, ...mismatch(place, tooShort, tree, ''))
    return withinBounds(outcome.value, tree, schema, place, along) ?? leaf(outcome.value, tree.span, place, name)
  }
  const hint = discreet(outcome.hint, tree)
  if (outcome.isSentence) return broken(tree, place, along, discreet(outcome.expected, tree), hint)
  return broken(tree, place, along, ...mismatch(place, outcome.expected, tree, hint))
}

/** A value that came from outside may be a secret: messages show what was written for it. */
function discreet(text: string, { value, written }: ScalarTree): string {
  return typeof value === 'string' && value !== '' && value !== written ? text.replaceAll(value, written) : text
}

function walkBoolean(tree: Tree, place: Place, along: Walk): Found {
  if (tree.kind === 'scalar') {
    if (typeof tree.value === 'boolean') return leaf(tree.value, tree.span, place)
    if (tree.isSubstituted && tree.value === 'true') return leaf(true, tree.span, place)
    if (tree.isSubstituted && tree.value === 'false') return leaf(false, tree.span, place)
  }
  return broken(tree, place, along, ...mismatch(place, '`true` or `false`', tree, ''))
}

function walkNumber(tree: Tree, schema: Keywords, place: Place, along: Walk): Found {
  const isInteger = schema.type === 'integer'
  const noun = isInteger ? 'a whole number' : 'a number'
  if (tree.kind !== 'scalar') return broken(tree, place, along, ...mismatch(place, noun, tree, ''))
  const isNumeric = typeof tree.value === 'string' && /^-?\d+(\.\d+)?$/.test(tree.value)
  const value = tree.isSubstituted && isNumeric ? Number(tree.value) : tree.value
  if (typeof value !== 'number' || (isInteger ? !Number.isSafeInteger(value) : !Number.isFinite(value))) {
    const hint = tree.isSubstituted ? '' : numberHint(tree.value)
    return broken(tree, place, along, ...mismatch(place, noun, tree, hint))
  }
  return withinBounds(value, tree, schema, place, along) ?? leaf(value, tree.span, place)
}

function numberHint(value: unknown): string {
  const match = typeof value === 'string' ? /^(-?\d+(?:\.\d+)?) ?(%|[a-z]*)$/i.exec(value) : null
  if (match === null) return ''
  return match[2] === ''
    ? `Leave the quotes out: ${match[1]}`
    : `Write the number alone, without a unit: \`${match[1]}\`.`
}

function withinBounds(value: unknown, tree: ScalarTree, schema: Keywords, place: Place, along: Walk): Found | null {
  if (typeof value !== 'number') return null
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = schema
  let bound: string | null = null
  if (minimum !== undefined && value < minimum) bound = `at least ${minimum}`
  else if (maximum !== undefined && value > maximum) bound = `at most ${maximum}`
  else if (exclusiveMinimum !== undefined && value <= exclusiveMinimum) bound = `more than ${exclusiveMinimum}`
  else if (exclusiveMaximum !== undefined && value >= exclusiveMaximum) bound = `less than ${exclusiveMaximum}`
  if (bound === null) return null
  const ending = bound.endsWith(' 1') ? '' : 's'
  const unit = schema.format === 'duration' ? ` millisecond${ending}` : schema.format === 'size' ? ` byte${ending}` : ''
  const hint = schema.format === 'duration' && value === 0 ? 'No time is none, not for ever: write a longer one.' : ''
  return broken(tree, place, along, ...mismatch(place, `${bound}${unit}`, tree, hint))
}

function quoteHint(tree: Tree): string {
  return tree.kind === 'scalar' && tree.value !== null ? `Put it in quotes: \`"${tree.written}"\`.` : ''
}
