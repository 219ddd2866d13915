// The JSON Schema of the config as it is written, for editors: short forms, units and policies included.

import { formatTexts } from './formats.ts'
import { acceptsNothing, type Keywords, type Variants } from './keywords.ts'
import { type Language, languageSchema } from './language.ts'

export type JsonSchema = Readonly<Record<string, unknown>>

/** The complete JSON Schema (draft 2020-12) of a config in this language. */
export function renderJsonSchema(language: Language): JsonSchema {
  const schema = languageSchema(language)
  const definitions = new Map<string, Keywords>()
  collectDefinitions(schema, definitions)
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Turnpike config',
    ...written(schema),
    $defs: {
      ...Object.fromEntries(
        [...definitions].map(([name, defined]) => [
          name,
          defined.variants === undefined ? {} : withVariants(defined, defined.variants),
        ]),
      ),
      fromOutside: {
        type: 'string',
        pattern: '^\\$\\{(env|file):[^}]+\\}$',
        description: 'A value from an environment variable or a file.',
      },
    },
  }
}

const outsideRef: JsonSchema = { $ref: '#/$defs/fromOutside' }

/** Schemas that stand in several places, or inside themselves. */
function collectDefinitions(schema: Keywords, into: Map<string, Keywords>): void {
  const { variants } = schema
  if (variants?.definition !== undefined) {
    if (into.has(variants.definition)) return
    into.set(variants.definition, schema)
  }
  const parts = [
    ...Object.values(schema.properties ?? {}),
    ...Object.values(variants?.of ?? {}),
    ...(schema.anyOf ?? []),
    ...(schema.items === undefined ? [] : [schema.items]),
    ...(typeof schema.additionalProperties === 'object' ? [schema.additionalProperties] : []),
  ]
  for (const part of parts) collectDefinitions(part, into)
}

/** What the user may write where the gateway gets a value of this schema. */
function written(schema: Keywords): JsonSchema {
  const { description, default: preset, examples } = schema
  const isNullable = preset === null
  const notes = {
    ...(description !== undefined && { description }),
    ...(preset !== undefined && !isNullable && { default: preset }),
    ...(examples !== undefined && { examples }),
  }
  const forms = [...formsOf(schema), ...(isNullable ? [{ type: 'null' }] : [])]
  const [only] = forms
  return forms.length === 1 ? { ...notes, ...only } : { ...notes, anyOf: forms }
}

function formsOf(schema: Keywords): JsonSchema[] {
  if (schema.anyOf !== undefined) return schema.anyOf.map(written)
  if (schema.variants !== undefined) {
    const { definition } = schema.variants
    return [definition === undefined ? withVariants(schema, schema.variants) : { $ref: `#/$defs/${definition}` }]
  }
  if (schema.type === 'object') return objectForms(schema)
  if (schema.type === 'array') return listForms(schema)
  return scalarForms(schema)
}

function objectForms(schema: Keywords): JsonSchema[] {
  const object = objectOf(schema)
  const short = schema.shorthand === undefined ? undefined : schema.properties?.[schema.shorthand]
  if (short === undefined) return [object]
  // The note on the key stays at the key, the note on the whole at the whole.
  const { description: _, ...rest } = written(short)
  return [rest, object]
}

function objectOf(schema: Keywords): JsonSchema {
  const properties = Object.entries(schema.properties ?? {})
  const required = properties.filter(([key, property]) => isRequired(schema, key, property)).map(([key]) => key)
  const { additionalProperties: others, patternProperties } = schema
  return {
    type: 'object',
    ...(properties.length > 0 && { properties: tableOf(properties) }),
    ...(required.length > 0 && { required }),
    ...(patternProperties !== undefined && { patternProperties: tableOf(Object.entries(patternProperties)) }),
    additionalProperties: typeof others === 'object' ? written(others) : others === true,
  }
}

function listForms(schema: Keywords): JsonSchema[] {
  const item = written(schema.items ?? {})
  const list = { type: 'array', items: item, ...pick(schema, ['minItems', 'maxItems']) }
  if (schema.oneOrMany !== true) return [list]
  const { description: _, ...one } = item
  return [one, list]
}

function scalarForms(schema: Keywords): JsonSchema[] {
  if (schema.enum !== undefined) {
    // Words that read as numbers need no quotes: `on: [502]`.
    const numbers = schema.enum.filter(word => typeof word === 'string' && /^\d+(\.\d+)?$/.test(word)).map(Number)
    return [{ enum: [...schema.enum, ...numbers] }, outsideRef]
  }
  if ('const' in schema) return [{ const: schema.const }]
  if (schema.format !== undefined) {
    const pattern = formatTexts[schema.format]?.pattern ?? null
    if (pattern === null) return [{ type: 'string' }]
    // Part of the text may come from outside, so that any placeholder makes it good.
    const text = { type: 'string', pattern: `${pattern}|\\$\\{` }
    return schema.type === 'string'
      ? [text]
      : [text, { type: 'integer', minimum: 0, ...pick(schema, ['minimum', 'maximum']) }]
  }
  if (schema.type === 'string') return [{ type: 'string', ...pick(schema, ['minLength', 'maxLength', 'pattern']) }]
  if (schema.type === undefined) return [{}]
  const bounds = pick(schema, ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'])
  return [{ type: schema.type, ...bounds }, outsideRef]
}

/** An object with exactly one of the keys, or the bare name of one that needs no options. */
function withVariants(schema: Keywords, variants: Variants): JsonSchema {
  const names = Object.keys(variants.of)
  const table = Object.entries(variants.of).map(([name, variant]): [string, JsonSchema] => {
    const { description, ...form } = written(variant)
    const isBareFine = acceptsNothing(variant)
    return [name, { description, ...(isBareFine ? { anyOf: [form, { type: 'null' }] } : form) }]
  })
  const object = objectOf(schema)
  const properties = { ...Object.fromEntries(table), ...(object['properties'] as JsonSchema | undefined) }
  const oneOf = names.map(name => ({ required: [name] }))
  const whole = { ...object, properties, ...(oneOf.length > 0 && { oneOf }) }
  const bare = names.filter(name => acceptsNothing(variants.of[name] ?? {}))
  return bare.length === 0 ? whole : { anyOf: [whole, { enum: bare }] }
}

function isRequired(schema: Keywords, key: string, property: Keywords): boolean {
  return schema.required?.includes(key) === true && !('default' in property)
}

function tableOf(entries: readonly (readonly [string, Keywords])[]): JsonSchema {
  return Object.fromEntries(entries.map(([key, property]) => [key, written(property)]))
}

function pick(schema: Keywords, keys: readonly (keyof Keywords)[]): JsonSchema {
  return Object.fromEntries(keys.flatMap(key => (schema[key] === undefined ? [] : [[key, schema[key]]])))
}
