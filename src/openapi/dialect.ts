// Dialects of JSON Schema: which keywords the meta-schema of a schema has (2020-12, section 8.1).

import { DocumentError, isFields, member } from './part.ts'

const base = 'https://json-schema.org/draft/2020-12'

/** Dialects that have all the keywords that are known here. */
const whole = [
  `${base}/schema`,
  'https://spec.openapis.org/oas/3.1/dialect/base',
  'https://spec.openapis.org/oas/3.1/dialect/2024-10-25',
  'https://spec.openapis.org/oas/3.1/dialect/2024-11-10',
]

/** Keywords that are checked, by vocabulary. Those of the core are always there. */
const vocabularies: Readonly<Record<string, readonly string[]>> = {
  [`${base}/vocab/core`]: [],
  [`${base}/vocab/applicator`]: [
    ...['prefixItems', 'items', 'contains', 'additionalProperties', 'properties', 'patternProperties', 'allOf'],
    ...['dependentSchemas', 'propertyNames', 'if', 'then', 'else', 'anyOf', 'oneOf', 'not'],
  ],
  [`${base}/vocab/unevaluated`]: ['unevaluatedItems', 'unevaluatedProperties'],
  [`${base}/vocab/validation`]: [
    ...['type', 'const', 'enum', 'multipleOf', 'maximum', 'exclusiveMaximum', 'minimum', 'exclusiveMinimum'],
    ...['maxLength', 'minLength', 'pattern', 'maxItems', 'minItems', 'uniqueItems', 'maxContains', 'minContains'],
    ...['maxProperties', 'minProperties', 'required', 'dependentRequired'],
  ],
  [`${base}/vocab/format-annotation`]: ['format'],
  [`${base}/vocab/format-assertion`]: ['format'],
  [`${base}/vocab/meta-data`]: [],
  [`${base}/vocab/content`]: [],
  'https://spec.openapis.org/oas/3.1/vocab/base': [],
}

/** `find` gives the meta-schema of a URI. @throws DocumentError for a dialect that cannot be followed. */
export function ignoredKeywords(
  dialect: string | null,
  find: (uri: string) => unknown,
  pointer: string,
): ReadonlySet<string> {
  if (dialect === null || whole.includes(dialect)) return new Set()
  const meta = find(dialect)
  if (!isFields(meta)) {
    const hint = 'Write the schemas in JSON Schema 2020-12, or name the file of the meta-schema in `references`.'
    throw new DocumentError(`the dialect \`${dialect}\` is not known`, pointer, hint)
  }
  const listed = member(meta, '$vocabulary')
  if (!isFields(listed)) return new Set()
  const ignored = new Set(Object.values(vocabularies).flat())
  for (const [uri, isNeeded] of Object.entries(listed)) {
    const keywords = member(vocabularies, uri)
    if (Array.isArray(keywords)) for (const keyword of keywords) ignored.delete(String(keyword))
    else if (isNeeded === true) {
      const hint = 'Leave it out of the meta-schema, or set it to `false`.'
      throw new DocumentError(`the vocabulary \`${uri}\` is needed, and not known`, pointer, hint)
    }
  }
  return ignored
}
