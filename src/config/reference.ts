// The reference page of the config language, from the same schemas that the config is resolved along.

import { formatTexts } from './formats.ts'
import type { Keywords } from './keywords.ts'
import { type Language, languageSchema } from './language.ts'

/** The reference as Markdown: every key with its type as written, its default and its meaning. */
export function renderReference(language: Language): string {
  const schema = languageSchema(language)
  const top = schema.properties ?? {}
  const route = top['routes']?.items ?? {}
  const policy = top['policies']?.items ?? {}
  const groups = Object.entries(top).filter(([key]) => key !== 'policies' && key !== 'routes')
  return `${[
    '# Config reference',
    intro,
    '## The file',
    tableOf(schema),
    ...groups.flatMap(([key, group]) => sections(key, group, `## \`${key}\``)),
    ...sections('routes', route, '## `routes`', routeText(route)),
    ...sections('policies', policy, '## `policies`', policyText),
    '## Ends of a route',
    ...variantSections(route),
    '## Policies',
    ...variantSections(policy),
    '## How values are written',
    formatTable(),
  ].join('\n\n')}\n`
}

const intro = `This page is generated from the schemas in the source. An unknown key is an error. \`turnpike schema\` prints the
same as JSON Schema for editors.

\`\${env:NAME}\` stands for the value of an environment variable and \`\${file:PATH}\` for the text of a file (relative to the
folder of the config file, without its last line end); \`$\${\` is a plain \`\${\`.

The config is one file or a folder. Of the files of a folder, by name, the lists \`listeners\`, \`policies\`,
\`consumers\` and \`routes\` are appended and the maps \`upstreams\` and \`plans\` united; any other key stands in one file only.`

const policyText = `A list, outermost first. Each item has one key, the name of a policy, and its options. A policy that needs no options
may be written as its bare name.`

function routeText(route: Keywords): string {
  const ends = Object.keys(route.variants?.of ?? {}).map(name => `\`${name}\``)
  return `A list. Besides the keys below each item has exactly one end: ${ends.join(', ')}.`
}

/** A table of the keys of one group, then the groups inside it. */
function sections(path: string, schema: Keywords, title: string, text = schema.description): string[] {
  const group = groupOf(schema)
  if (group === null) return []
  const parts = [title]
  if (text !== undefined) parts.push(text)
  if (group.shorthand !== undefined) parts.push(`Short form: the value of \`${group.shorthand}\` alone.`)
  parts.push(tableOf(group))
  for (const [key, property] of Object.entries(group.properties ?? {})) {
    const inner = `${path}.${key}`
    // Policies and matches have a section of their own.
    if (key === 'policies' || key === 'when') continue
    parts.push(...sections(inner, property, `### \`${inner}\``))
  }
  return parts
}

function variantSections(schema: Keywords): string[] {
  return Object.entries(schema.variants?.of ?? {}).flatMap(([name, variant]) => {
    const group = groupOf(variant)
    if (group !== null) return sections(name, { ...variant }, `### \`${name}\``)
    const type = `Written as ${typeText(variant)}.`
    return [`### \`${name}\``, variant.description ?? '', type]
  })
}

/** The object that a schema is about: itself, its items, or the values of its map. */
function groupOf(schema: Keywords): Keywords | null {
  if (schema.type === 'array') return groupOf(schema.items ?? {})
  if (schema.properties !== undefined && Object.keys(schema.properties).length > 0) return schema
  return typeof schema.additionalProperties === 'object' ? groupOf(schema.additionalProperties) : null
}

function tableOf(group: Keywords): string {
  const rows = Object.entries(group.properties ?? {}).map(([key, property]) => {
    const isRequired = group.required?.includes(key) === true && !('default' in property)
    const cells = [
      `\`${key}\``,
      typeText(property),
      isRequired ? '**required**' : defaultText(property),
      notes(property),
    ]
    return `| ${cells.map(cell => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`
  })
  return ['| key | type | default | meaning |', '|---|---|---|---|', ...rows].join('\n')
}

function typeText(schema: Keywords): string {
  if (schema.anyOf !== undefined) return schema.anyOf.map(typeText).join(' or ')
  if (schema.enum !== undefined) return schema.enum.map(word => `\`${String(word)}\``).join(', ')
  if ('const' in schema) return `\`${JSON.stringify(schema.const)}\``
  if (schema.type === 'array') {
    if (schema.items?.variants !== undefined) return schema.items.variants.into[0] === 'policy' ? 'policies' : 'routes'
    const item = typeText(schema.items ?? {})
    if (item === 'keys') return schema.oneOrMany === true ? 'keys, or a list of them' : 'list, each with keys'
    return schema.oneOrMany === true ? `${item}, or a list` : `list of ${item}`
  }
  if (schema.type === 'object') return objectText(schema)
  if (schema.format !== undefined) return (formatTexts[schema.format]?.noun ?? schema.format).replace(/^(an?|the) /, '')
  const words: Readonly<Record<string, string>> = { string: 'text', integer: 'whole number', boolean: 'true or false' }
  if (typeof schema.type !== 'string') return 'anything'
  return `${words[schema.type] ?? schema.type}${boundsText(schema)}`
}

function objectText(schema: Keywords): string {
  const short = schema.shorthand === undefined ? undefined : schema.properties?.[schema.shorthand]
  if (short !== undefined) return `${typeText(short)}, or keys`
  if (typeof schema.additionalProperties !== 'object') return 'keys'
  const value = typeText(schema.additionalProperties)
  return value === 'keys' ? 'names, each with keys' : `names, each with ${value}`
}

function boundsText({ minimum, maximum }: Keywords): string {
  if (minimum !== undefined && maximum !== undefined) return `, ${minimum} to ${maximum}`
  if (minimum !== undefined) return `, at least ${minimum}`
  return maximum === undefined ? '' : `, at most ${maximum}`
}

function defaultText(schema: Keywords): string {
  const { default: preset } = schema
  const isEmpty = typeof preset === 'object' && preset !== null && Object.keys(preset).length === 0
  if (preset === undefined || preset === null || preset === '' || isEmpty) return '–'
  return typeof preset === 'string' ? `\`${preset}\`` : `\`${JSON.stringify(preset)}\``
}

function notes({ description = '', examples = [] }: Keywords): string {
  if (examples.length === 0) return description
  const shown = examples.map(example => `\`${typeof example === 'string' ? example : JSON.stringify(example)}\``)
  return `${description} Such as ${shown.join(', ')}.`.trim()
}

function formatTable(): string {
  const rows = Object.values(formatTexts).map(({ noun, how }) => `| ${noun.replace(/^(an?|the) /, '')} | ${how} |`)
  return ['| type | written as |', '|---|---|', ...rows].join('\n')
}
