// Names for parts of a principal, as config writes them: `consumer.name`, `claims.tenant`.

import { OptionsError } from '../core/policy.ts'
import type { Principal } from '../core/principal.ts'

/** Reads one part of a principal as text; undefined where it is not there. */
export type PrincipalField = (principal: Principal) => string | undefined

const fixed: Readonly<Record<string, PrincipalField>> = {
  id: ({ id }) => id,
  method: ({ method }) => method,
  credential: ({ credential }) => credential || undefined,
  scopes: ({ scopes }) => scopes.join(' '),
  'consumer.id': ({ consumer }) => consumer?.id,
  'consumer.name': ({ consumer }) => consumer?.name,
  'consumer.groups': ({ consumer }) => (consumer === null ? undefined : listText(consumer.groups)),
  'consumer.plan': ({ consumer }) => consumer?.plan || undefined,
  'application.id': ({ application }) => application?.id,
  'application.name': ({ application }) => application?.name,
}

const known =
  '`id`, `method`, `credential`, `scopes`, `consumer.id`, `consumer.name`, `consumer.groups`, `consumer.plan`, `consumer.labels.NAME`, `application.id`, `application.name`, `application.labels.NAME` and `claims.NAME` (with dots into objects)'

/**
 * Compiles the name of a part. Claims that are lists of texts are joined by commas, those within a text being `%2C`: no name of a
 * certificate and no group that somebody chose can pretend to be two. Objects have no text.
 * @throws OptionsError for a name that does not exist; `path` leads to it.
 */
export function compilePrincipalField(text: string, path: readonly (string | number)[] = []): PrincipalField {
  const field = Object.hasOwn(fixed, text) ? fixed[text] : undefined
  if (field !== undefined) return field
  const label = /^(consumer|application)\.labels\.(.+)$/.exec(text)
  if (label !== null) {
    const [, whose, name = ''] = label
    return principal => own((whose === 'consumer' ? principal.consumer : principal.application)?.labels, name)
  }
  if (/^claims\../.test(text)) {
    const whole = text.slice('claims.'.length)
    const steps = whole.split('.')
    return ({ claims }) => textOf(Object.hasOwn(claims, whole) ? claims[whole] : within(claims, steps))
  }
  throw new OptionsError(`\`${text}\` is no part of a principal`, path, `There are ${known}.`)
}

function within(value: unknown, steps: readonly string[]): unknown {
  let inner = value
  for (const step of steps) {
    if (typeof inner !== 'object' || inner === null || !Object.hasOwn(inner, step)) return undefined
    inner = (inner as Record<string, unknown>)[step]
  }
  return inner
}

function own(table: Readonly<Record<string, string>> | undefined, name: string): string | undefined {
  return table !== undefined && Object.hasOwn(table, name) ? table[name] : undefined
}

function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (!Array.isArray(value)) return undefined
  const texts = value.flat(depthMax).map(item => (Array.isArray(item) ? undefined : textOf(item)))
  return texts.every(text => text !== undefined) ? listText(texts) : undefined
}

/** Of lists in lists. */
const depthMax = 8

function listText(texts: readonly string[]): string {
  return texts.map(text => text.replaceAll(',', '%2C')).join(',')
}
