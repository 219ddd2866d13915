// The options of `cache`.

import { checkFieldName } from '../../core/field-name.ts'
import { OptionsError } from '../../core/policy.ts'
import {
  Choice,
  Duration,
  Fields,
  Maybe,
  Named,
  OneOrMany,
  Percent,
  Size,
  type Static,
  Type,
} from '../../core/schema.ts'

const names = (description: string) => OneOrMany(Type.String({ minLength: 1 }), { default: [], description })

const query = Fields(
  {
    only: Maybe(
      OneOrMany(Type.String({ minLength: 1 }), {
        description: 'Parameters that count, `*` at the end for any ending; all where it is not written.',
      }),
    ),
    ignore: names(
      'Parameters that do not count, such as `utm_*`; a call that fills the cache is sent on without them.',
    ),
    sort: Type.Boolean({ default: false, description: 'Whether the order of parameters is all the same.' }),
  },
  { default: {}, description: 'How the query is part of the key.' },
)

export const options = Fields({
  methods: OneOrMany(Choice(['GET', 'HEAD']), {
    minItems: 1,
    default: ['GET', 'HEAD'],
    description: 'Methods that are answered from the cache.',
  }),
  statuses: OneOrMany(Type.Integer({ minimum: 200, maximum: 599 }), {
    default: [200, 203, 204, 300, 301, 302, 307, 308, 404, 410],
    description: 'Statuses of replies that may be kept.',
  }),
  ttl: Named(Duration(), {
    default: {},
    description: 'How long replies are fresh that do not say it themselves, by status.',
    examples: [{ '200': '1m', '404': '5s' }],
  }),
  heuristic: Maybe(
    Percent({
      description:
        'Freshness of replies that say nothing of it, as a share of the time since `Last-Modified`; none where it is not written.',
    }),
  ),
  heuristicMax: Duration({ default: '1d', description: 'The most that `heuristic` gives.' }),
  staleWhileRevalidate: Duration({
    default: '0s',
    description: 'How long a stale reply is sent while a new one is fetched, where it does not say it itself.',
  }),
  staleIfError: Duration({
    default: '0s',
    description: 'How long a stale reply is sent when the service fails, where it does not say it itself.',
  }),
  bodyMax: Size({ default: '1MB', description: 'The largest body that is kept.' }),
  variants: Type.Integer({
    minimum: 1,
    maximum: 1000,
    default: 32,
    description: 'How many replies are kept under one key, by what their `Vary` names.',
  }),
  collapse: Duration({
    default: '5s',
    description: 'How long calls wait for the same question of another call; `0s` lets each ask for itself.',
  }),
  key: Fields(
    {
      headers: names('Request fields that are part of the key.'),
      cookies: names('Cookies that are part of the key.'),
      consumer: Type.Boolean({
        default: false,
        description: 'Whether each consumer, credential and set of scopes has replies of its own.',
      }),
      query,
    },
    { default: {}, description: 'What makes two calls the same, besides scheme, host and path.' },
  ),
  bypass: Fields(
    {
      headers: names('Request fields.'),
      cookies: names('Cookies.'),
      query: names('Query parameters.'),
    },
    { default: {}, description: 'Calls that have any of these pass by the cache.' },
  ),
  clientDirectives: Choice(['obey', 'ignore'], {
    default: 'obey',
    description: 'What becomes of `Cache-Control` and `Pragma` of requests.',
  }),
  cacheStatus: Maybe(
    Type.String({
      pattern: "^[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]{0,63}$",
      description:
        'Name by which replies say in `Cache-Status` what the cache did; they do not where it is not written.',
    }),
  ),
})

export type Options = Static<typeof options>

export function check({ ttl, key, bypass, statuses }: Options): void {
  for (const status of Object.keys(ttl)) {
    if (/^[2-5]\d\d$/.test(status) && status !== '206' && status !== '304') {
      if (statuses.includes(Number(status))) continue
      const hint = `Add ${status} to \`statuses\`, or remove it here.`
      throw new OptionsError(`replies with status ${status} are not kept`, ['ttl', status], hint)
    }
    throw new OptionsError(
      `\`${status}\` is no status that can be kept`,
      ['ttl', status],
      'Write a status, such as `"200"`.',
    )
  }
  for (const [index, status] of statuses.entries()) {
    if (status !== 206 && status !== 304) continue
    throw new OptionsError(`replies with status ${status} are no whole ones`, ['statuses', index], 'Remove it.')
  }
  for (const [index, name] of key.headers.entries()) checkFieldName(name, ['key', 'headers', index])
  for (const [index, name] of bypass.headers.entries()) checkFieldName(name, ['bypass', 'headers', index])
}
