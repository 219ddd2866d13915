// The policy `quota`: so many calls per hour, day, week or month of the calendar, kept over restarts.

import type { Call } from '../../core/call.ts'
import { limitRulesMax } from '../../core/limits.ts'
import { definePolicy, OptionsError } from '../../core/policy.ts'
import { principal } from '../../core/principal.ts'
import { Fields, Maybe, Named, OneOrMany, Shorthand, type Static, Type } from '../../core/schema.ts'
import { dateOf, isTimeZone } from '../../limits/calendar.ts'
import { compileChoice } from '../../limits/choice.ts'
import { compileKey, needsPrincipal } from '../../limits/key.ts'
import { limitLayer } from '../../limits/limit-layer.ts'
import {
  byOption,
  costOption,
  countOption,
  headersOption,
  ipv6PrefixOption,
  nameOption,
  storeOptions,
} from '../../limits/options.ts'
import { createQuotaRules, parseQuotas, type Quota } from '../../limits/quotas.ts'

const quotaText = (description: string) => Type.String({ description, examples: ['10000/month'] })
const quotas = (description: string) =>
  Named(OneOrMany(quotaText('Such as `10000/month`.'), { minItems: 1 }), { default: {}, description })

const options = Shorthand(
  'limit',
  Fields({
    limit: Maybe(quotaText('Such as `10000/month`; per `hour`, `day`, `week`, `month` or `period`. This or `limits`.')),
    limits: Type.Array(quotaText('Such as `10000/month`.'), {
      default: [],
      maxItems: limitRulesMax,
      description: 'Several quotas that all hold: `[1000/day, 10000/month]`.',
    }),
    timeZone: Type.String({ default: 'UTC', description: 'Where days begin, such as `Europe/Berlin`.' }),
    anchor: Type.String({
      default: '2000-01-01',
      description:
        'A day on which a `period` begins, such as `2026-01-15`; the others begin on the same day of each month.',
    }),
    anchorLabel: Maybe(Type.String({ description: 'A label of the consumer that holds its own `anchor`.' })),
    by: { ...byOption, default: 'consumer' },
    ipv6Prefix: ipv6PrefixOption,
    cost: costOption,
    count: countOption,
    groups: quotas('Other quotas for consumers of these groups, the first that fits.'),
    plans: quotas('Other quotas for consumers with these plans; they go before `groups`.'),
    name: nameOption,
    durable: Type.Boolean({
      default: true,
      description: 'Whether the counts survive a restart, in the folder `data` or the store.',
    }),
    headers: headersOption,
    ...storeOptions,
  }),
)

type Options = Static<typeof options>

export const quota = definePolicy({
  name: 'quota',
  summary: 'Bounds how many calls may come per hour, day, week or month of the calendar.',
  options,
  needsFor: ({ by, groups, plans, anchorLabel }) =>
    needsPrincipal(by) || anchorLabel !== null || Object.keys({ ...groups, ...plans }).length > 0 ? [principal] : [],
  counts: ({ store, durable }) => ({ store, isDurable: durable }),
  check,
  build(given, ports, place) {
    const { by, ipv6Prefix, cost, count, headers, name, store, mode, onFailure, callers, anchorLabel } = given
    const key = compileKey(by, ipv6Prefix)
    const scope = `${name === '' ? place.key : `quota/${name}`}/${key.make}`
    const made = createQuotaRules({
      ...{ timeZone: given.timeZone, anchor: dateOf(given.anchor) ?? Temporal.PlainDate.from('2000-01-01'), name },
      wall: () => ports.clock.wall(),
    })
    const rulesFor = (texts: readonly string[]) => made(texts.flatMap(text => parseQuotas(text) ?? []))
    const choose = compileChoice({
      base: baseOf(given).length === 0 ? null : rulesFor(baseOf(given)),
      groups: mapValues(given.groups, rulesFor),
      plans: mapValues(given.plans, rulesFor),
      name,
      parse(text) {
        const list = parseQuotas(text)
        return list === null || list.length > limitRulesMax ? null : made(list)
      },
      log: ports.log,
    })
    const anchorOf = (call: Call) =>
      anchorLabel === null ? undefined : call.facts.get(principal)?.consumer?.labels[anchorLabel]
    return limitLayer({
      store: ports.limits({
        ...{ scope, store, mode, onFailure, isDurable: given.durable, callers, name: name === '' ? place.key : name },
      }),
      keyOf: key.of,
      rulesOf: call => choose(call)?.(anchorOf(call)) ?? null,
      ...{ cost, count, headers, code: 'quota-exceeded' },
      hits: ports.meter.counter('turnpike_ceiling_hits', { ceiling: 'quota', name: place.route }),
    })
  },
})

function baseOf({ limit, limits }: Options): readonly string[] {
  return limit === null ? limits : [limit]
}

function check(given: Options): void {
  const { limit, limits, groups, plans, timeZone, anchor, mode, store } = given
  if (limit !== null && limits.length > 0) {
    throw new OptionsError('there are both `limit` and `limits`', ['limits'], 'Put all quotas into `limits`.')
  }
  if (baseOf(given).length === 0 && Object.keys({ ...groups, ...plans }).length === 0) {
    throw new OptionsError('there is no quota', [], 'Write `limit: 10000/month`.')
  }
  baseOf(given).forEach((text, index) => {
    const path = limit === null ? ['limits', index] : ['limit']
    if (quotaOf(text, path).limit === 0) throw new OptionsError('a quota of 0 lets nobody in', path, 'Write 1 or more.')
  })
  for (const [table, entries] of Object.entries({ groups, plans })) {
    for (const [name, texts] of Object.entries(entries)) {
      for (const text of texts) quotaOf(text, [table, name])
      if (texts.length > limitRulesMax) {
        throw new OptionsError(`there are more than ${limitRulesMax} quotas`, [table, name], 'Leave some out.')
      }
    }
  }
  if (!isTimeZone(timeZone)) {
    throw new OptionsError(`there is no time zone \`${timeZone}\``, ['timeZone'], 'Write one such as `Europe/Berlin`.')
  }
  if (dateOf(anchor) === null) {
    throw new OptionsError(`\`${anchor}\` is no date`, ['anchor'], 'Write one such as `2026-01-15`.')
  }
  if (mode === 'leased' && store === null) {
    throw new OptionsError('`mode: leased` needs a `store`', ['mode'], 'Leave it out: the own memory is always exact.')
  }
}

function quotaOf(text: string, path: readonly (string | number)[]): Quota {
  const [one, ...more] = parseQuotas(text) ?? []
  if (one !== undefined && more.length === 0) return one
  const hint = 'Write a number and `/hour`, `/day`, `/week`, `/month` or `/period`.'
  throw new OptionsError(`\`${text}\` is no quota`, path, hint)
}

function mapValues<T, U>(table: Readonly<Record<string, T>>, change: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(table).map(([key, value]) => [key, change(value)]))
}
