// The config language as one schema: what may stand at the top of a file, in a route, and in a list of policies.

import {
  adminSchema,
  listenerSchema,
  matchSchema,
  pathsSchema,
  telemetrySchema,
  upstreamSchema,
} from '../core/blueprint.ts'
import type { EndDefinition, PolicyDefinition } from '../core/policy.ts'
import { Duration, Fields, Maybe, Named, OneOrMany, type TSchema, Type } from '../core/schema.ts'
import { type Keywords, keywordsOf } from './keywords.ts'

/** What may stand in a config besides its fixed frame. */
export interface Language {
  readonly policies: readonly PolicyDefinition[]
  readonly ends: readonly EndDefinition[]
}

/** The schema of a whole config. */
export function languageSchema(language: Language): Keywords {
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
      telemetry: { ...telemetrySchema, default: {}, description: 'Access log, request ids and traces.' },
      upstreams: Named(upstreamSchema, { default: {}, description: 'Groups of servers, by the name routes use.' }),
      policies: Type.Array(policySchema(language), {
        default: [],
        description: 'Around every route, outermost first.',
      }),
      routes: Type.Array(routeSchema(language), { default: [], description: 'What is answered, and how.' }),
    }),
  )
}

function policySchema(language: Language): TSchema {
  const when = OneOrMany(matchSchema, {
    description: 'The policy acts on calls that match any of these; always where it is not written.',
  })
  return {
    ...Fields({ when: Maybe(when) }),
    variants: {
      noun: 'a policy',
      lack: 'names no policy',
      of: tableOf(language.policies),
      into: ['policy', 'options'],
    },
  }
}

function routeSchema(language: Language): TSchema {
  const properties = Fields({
    name: Type.String({ default: '', description: 'For metrics and logs; made of the match where it is not written.' }),
    match: OneOrMany(matchSchema, { minItems: 1, description: 'Which calls the route answers: any of these.' }),
    policies: Type.Array(policySchema(language), {
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
      of: tableOf(language.ends),
      into: ['end', 'options'],
    },
  }
}

function tableOf(definitions: readonly (PolicyDefinition | EndDefinition)[]): Record<string, Keywords> {
  const table: Record<string, Keywords> = {}
  for (const { name, summary, options } of definitions) table[name] = { description: summary, ...keywordsOf(options) }
  return table
}
