// The config language as one schema: what may stand at the top of a file, in a route, and in a list of policies.

import {
  acmeSchema,
  adminSchema,
  matchSchema,
  memorySchema,
  outboundSchema,
  pathsSchema,
  storeSchema,
  telemetrySchema,
  tlsSessionsSchema,
} from '../core/blueprint.ts'
import { consumerSchema, planSchema } from '../core/consumer-schema.ts'
import { listenerSchema } from '../core/listener-schema.ts'
import { overloadSchema } from '../core/overload-schema.ts'
import type { EndDefinition, PolicyDefinition } from '../core/policy.ts'
import { Duration, Fields, Maybe, Named, OneOrMany, type TSchema, Type } from '../core/schema.ts'
import { upstreamSchema } from '../core/upstream-schema.ts'
import { type Keywords, keywordsOf } from './keywords.ts'

/** What may stand in a config besides its fixed frame. */
export interface Language {
  readonly policies: readonly PolicyDefinition[]
  readonly ends: readonly EndDefinition[]
}

/** The schema of a whole config. */
export function languageSchema(language: Language): Keywords {
  const policy = policySchema(language)
  return keywordsOf(
    Fields({
      listeners: Type.Array(listenerSchema, {
        minItems: 1,
        default: [{ port: 8080 }],
        description: 'Ports that accept calls; port 8080 where none is written.',
      }),
      admin: Maybe({ ...adminSchema, description: 'Metrics, health and the admin API; none where it is not written.' }),
      workers: Type.Integer({
        minimum: 0,
        maximum: 512,
        default: 0,
        description: 'Number of worker threads; one per core where it is not written.',
      }),
      drain: Duration({ default: '30s', description: 'How long calls may go on after the order to stop.' }),
      paths: { ...pathsSchema, default: {}, description: 'What is refused or mended in the paths of calls.' },
      acme: Maybe({ ...acmeSchema, description: 'Where listeners get certificates by themselves (ACME, HTTP-01).' }),
      tlsSessions: {
        ...tlsSessionsSchema,
        default: {},
        description: 'How clients of TLS listeners resume their sessions, on any worker.',
      },
      telemetry: { ...telemetrySchema, default: {}, description: 'Access log, request ids and traces.' },
      outbound: {
        ...outboundSchema,
        default: {},
        description: 'Requests of the gateway’s own: for key sets, to identity providers and authorization services.',
      },
      ...boundProperties,
      ...callerProperties,
      upstreams: Named(upstreamSchema, { default: {}, description: 'Groups of servers, by the name routes use.' }),
      stores: Named(storeSchema, {
        default: {},
        description: 'Valkey or Redis servers in which several gateways count together, by the name limits use.',
      }),
      policies: Type.Array(policy, {
        default: [],
        description: 'Around every route, outermost first.',
      }),
      routes: Type.Array(routeSchema(language, policy), { default: [], description: 'What is answered, and how.' }),
    }),
  )
}

/** How much of itself the gateway gives. */
const boundProperties = {
  memory: {
    ...memorySchema,
    default: {},
    description: 'How much is kept at hand. Limits have `callers` of their own.',
  },
  overload: { ...overloadSchema, default: {}, description: 'When the gateway refuses calls to protect itself.' },
} as const

/** Who calls, and what is kept of them. */
const callerProperties = {
  data: Maybe(
    Type.String({
      format: 'folder',
      description:
        'Folder for what the gateway keeps, such as consumers made at run time; it is made where there is none.',
    }),
  ),
  plans: Named(planSchema, { default: {}, description: 'What consumers buy, by name.' }),
  consumers: Type.Array(consumerSchema, {
    default: [],
    description: 'Who may call, as far as it stands in the config; others are made at run time.',
  }),
} as const

function policySchema(language: Language): TSchema {
  const when = OneOrMany(matchSchema, {
    description: 'The policy acts on calls that match any of these; always where it is not written.',
  })
  const of = tableOf(language.policies)
  return { ...Fields({ when: Maybe(when) }), variants: { ...policyVariants, definition: 'policy', of } }
}

const policyVariants = { noun: 'a policy', lack: 'names no policy', into: ['policy', 'options'] } as const

function routeSchema(language: Language, policy: TSchema): TSchema {
  const properties = Fields({
    name: Type.String({ default: '', description: 'For metrics and logs; made of the match where it is not written.' }),
    match: OneOrMany(matchSchema, { minItems: 1, description: 'Which calls the route answers: any of these.' }),
    policies: Type.Array(policy, {
      default: [],
      description: 'Around this route, outermost first, inside the ones around every route.',
    }),
    upgrade: Type.Array(Type.String(), {
      default: ['websocket'],
      description: 'Protocols that a call may upgrade to; `[]` forbids all.',
    }),
  })
  return {
    ...properties,
    variants: {
      noun: 'an end of a route',
      lack: 'does not say how to answer',
      of: endTable(language.ends),
      into: ['end', 'options'],
    },
  }
}

function endTable(definitions: readonly EndDefinition[]): Record<string, Keywords> {
  return Object.fromEntries(
    definitions.map(({ name, summary, options }) => [name, { description: summary, ...keywordsOf(options) }]),
  )
}

/** The options of policies. Where they take policies in turn, the same table stands there again: the schema has circles. */
function tableOf(definitions: readonly PolicyDefinition[]): Record<string, Keywords> {
  const table: Record<string, Keywords> = {}
  const inner = new Map<string, Record<string, Keywords>>()
  const itemGiving = (giving: string): Keywords => {
    const of = inner.get(giving) ?? {}
    inner.set(giving, of)
    const definition = giving === '' ? 'innerPolicy' : `policyGiving_${giving}`
    return { ...keywordsOf(Fields({})), variants: { ...policyVariants, definition, of } }
  }
  for (const { name, summary, options } of definitions) {
    table[name] = { description: summary, ...withPolicies(keywordsOf(options), itemGiving) }
  }
  for (const [giving, of] of inner) {
    for (const { name, gives = [] } of definitions) {
      const keywords = table[name]
      if (keywords !== undefined && (giving === '' || gives.some(fact => fact.name === giving))) of[name] = keywords
    }
  }
  return table
}

/** The schema with every list of policies in it made to take policies. */
function withPolicies(schema: Keywords, itemGiving: (giving: string) => Keywords): Keywords {
  if (schema.items?.isPolicy === true) return { ...schema, items: itemGiving(schema.giving ?? '') }
  const inside = (part: Keywords) => withPolicies(part, itemGiving)
  return {
    ...schema,
    ...(schema.items !== undefined && { items: inside(schema.items) }),
    ...(schema.anyOf !== undefined && { anyOf: schema.anyOf.map(inside) }),
    ...(schema.properties !== undefined && { properties: mapValues(schema.properties, inside) }),
    ...(typeof schema.additionalProperties === 'object' && {
      additionalProperties: inside(schema.additionalProperties),
    }),
  }
}

function mapValues(
  table: Readonly<Record<string, Keywords>>,
  change: (part: Keywords) => Keywords,
): Record<string, Keywords> {
  return Object.fromEntries(Object.entries(table).map(([key, part]) => [key, change(part)]))
}
