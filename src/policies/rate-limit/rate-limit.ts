// The policy `rate-limit`: so many calls per second, minute or hour, exact over all worker threads.

import { type LimitRule, limitRulesMax } from '../../core/limits.ts'
import { definePolicy, OptionsError } from '../../core/policy.ts'
import { principal } from '../../core/principal.ts'
import { Choice, Fields, Maybe, Named, OneOrMany, Rate, Shorthand, type Static, Type } from '../../core/schema.ts'
import { compileChoice } from '../../limits/choice.ts'
import { nameRules, type NamedRules } from '../../limits/fields.ts'
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
import { parseRates, type RateOption, ruleOf } from '../../limits/rates.ts'

const burstOption = (what: string) => Maybe(Type.Integer({ minimum: 1, description: what }))
const rates = (description: string) => Named(OneOrMany(Rate(), { minItems: 1 }), { default: {}, description })

const options = Shorthand(
  'limit',
  Fields({
    limit: Maybe(Rate({ description: 'Such as `100/minute`. This or `limits`.' })),
    limits: Type.Array(
      Shorthand(
        'rate',
        Fields({
          rate: Rate({ description: 'Such as `10/s`.' }),
          burst: burstOption('Of `gcra`: how many may come at once; the count of the rate where it is not written.'),
          name: { ...nameOption, description: 'What the RateLimit fields call it.' },
        }),
      ),
      { default: [], maxItems: 4, description: 'Several limits that all hold: `[10/s, 1000/h]`.' },
    ),
    algorithm: Choice(['sliding-window', 'gcra'], {
      default: 'sliding-window',
      description:
        '`sliding-window`: no window of that length ever has more than the count. `gcra`: an even rate, and a burst on top.',
    }),
    burst: burstOption('Of `gcra` with `limit`: how many may come at once; the count where it is not written.'),
    by: { ...byOption, default: 'client' },
    ipv6Prefix: ipv6PrefixOption,
    cost: costOption,
    count: countOption,
    groups: rates('Other limits for consumers of these groups, the first that fits: `{ partners: 1000/minute }`.'),
    plans: rates('Other limits for consumers with these plans; they go before `groups`.'),
    name: nameOption,
    headers: headersOption,
    ...storeOptions,
  }),
)

type Options = Static<typeof options>

export const rateLimit = definePolicy({
  name: 'rate-limit',
  summary: 'Bounds how many calls may come per second, minute, hour or day.',
  options,
  needsFor: ({ by, groups, plans }) =>
    needsPrincipal(by) || Object.keys({ ...groups, ...plans }).length > 0 ? [principal] : [],
  counts: ({ store }) => ({ store, isDurable: false }),
  check,
  build(given, ports, place) {
    const { by, ipv6Prefix, cost, count, headers, name, store, mode, onFailure, callers } = given
    const key = compileKey(by, ipv6Prefix)
    const scope = `${name === '' ? place.key : `rate-limit/${name}`}/${key.make}`
    const share = burstShareOf(given)
    const named = (list: readonly RateOption[]): NamedRules =>
      nameRules(
        list.map(rate => ruleOf(rate, given.algorithm, share)),
        name,
      )
    return limitLayer({
      store: ports.limits({
        scope,
        store,
        mode,
        onFailure,
        isDurable: false,
        callers,
        name: name === '' ? place.key : name,
      }),
      keyOf: key.of,
      rulesOf: compileChoice({
        base: baseOf(given),
        groups: mapValues(given.groups, named),
        plans: mapValues(given.plans, named),
        name,
        parse(text) {
          const list = parseRates(text)
          return list === null || list.length > limitRulesMax ? null : named(list)
        },
        log: ports.log,
      }),
      cost,
      count,
      headers,
      code: 'rate-limited',
      hits: ports.meter.counter('turnpike_ceiling_hits', { ceiling: 'rate-limit', name: place.route }),
    })
  },
})

function check({ limit, limits, algorithm, burst, groups, plans, mode, store }: Options): void {
  if (limit !== null && limits.length > 0) {
    throw new OptionsError('there are both `limit` and `limits`', ['limits'], 'Put all limits into `limits`.')
  }
  if (limit === null && limits.length === 0 && Object.keys({ ...groups, ...plans }).length === 0) {
    throw new OptionsError('there is no limit', [], 'Write `limit: 100/minute` or `limits: [10/s, 1000/h]`.')
  }
  for (const [rate, path] of [
    [limit, ['limit']],
    ...limits.map((item, index) => [item.rate, ['limits', index, 'rate']] as const),
  ] as const) {
    if (rate?.count === 0) throw new OptionsError('a limit of 0 lets nobody in', path, 'Write 1 or more.')
  }
  const burstAt = limits.findIndex(item => item.burst !== null)
  if (algorithm !== 'gcra' && (burst !== null || burstAt >= 0)) {
    const path = burst !== null ? ['burst'] : ['limits', burstAt, 'burst']
    throw new OptionsError('a sliding window has no burst', path, 'Add `algorithm: gcra`, or leave `burst` out.')
  }
  if (burst !== null && limits.length > 0) {
    throw new OptionsError('`burst` stands beside `limits`', ['burst'], 'Write `limits: [{ rate: 10/s, burst: 20 }]`.')
  }
  for (const [table, entries] of Object.entries({ groups, plans })) {
    for (const [name, list] of Object.entries(entries)) {
      if (list.length <= limitRulesMax) continue
      throw new OptionsError(`there are more than ${limitRulesMax} limits`, [table, name], 'Leave some out.')
    }
  }
  if (mode === 'leased' && store === null) {
    throw new OptionsError('`mode: leased` needs a `store`', ['mode'], 'Leave it out: the own memory is always exact.')
  }
}

function baseOf({ limit, limits, algorithm, burst, name }: Options): NamedRules | null {
  const items = limit === null ? limits : [{ rate: limit, burst, name: '' }]
  if (items.length === 0) return null
  const rules: LimitRule[] = items.map(item => ({
    ...ruleOf(item.rate, algorithm, 1),
    ...(item.burst !== null && { burst: item.burst }),
  }))
  return nameRules(
    rules,
    name,
    items.map(item => item.name),
  )
}

/** Other callers' bursts are to their rates what the written one is to its own. */
function burstShareOf({ limit, burst }: Options): number {
  return limit === null || burst === null ? 1 : burst / limit.count
}

function mapValues<T, U>(table: Readonly<Record<string, T>>, change: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(table).map(([key, value]) => [key, change(value)]))
}
