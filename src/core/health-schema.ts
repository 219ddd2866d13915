// What the config can say about sick targets: how they are found out, left out, and taken back.

import {
  Choice,
  Duration,
  Fields,
  Maybe,
  Named,
  OneOrMany,
  Percent,
  Shorthand,
  type Static,
  Statuses,
  Type,
} from './schema.ts'

export const healthSchema = Fields(
  {
    path: Type.String({
      pattern: '^/[!-~]*$',
      default: '/',
      description: 'Request target of a check, such as `/healthz`.',
    }),
    method: Choice(['GET', 'HEAD', 'OPTIONS'], { default: 'GET', description: 'Method of a check.' }),
    host: Maybe(
      Type.String({
        pattern: '^[!-~]+$',
        description: 'Host field of a check; host and port of the target by default.',
      }),
    ),
    headers: Named(Type.String({ pattern: '^[\\t -~]*$' }), { default: {}, description: 'Further fields of a check.' }),
    statuses: OneOrMany(Statuses(), { minItems: 1, default: ['2xx'], description: 'Replies of a healthy target.' }),
    grpc: Maybe(
      Shorthand(
        'service',
        Fields(
          { service: Type.String({ default: '', description: 'The service asked for; empty for the whole server.' }) },
          { description: 'Asks by grpc.health.v1 over HTTP/2, in place of a request over HTTP.' },
        ),
      ),
    ),
    port: Maybe(
      Type.Integer({ minimum: 1, maximum: 65535, description: 'Port of checks; that of the target by default.' }),
    ),
    interval: Duration({ default: '5s', minimum: 100, description: 'From one check of a target to its next one.' }),
    timeout: Duration({ default: '1s', minimum: 100, description: 'How long a check may take, connecting included.' }),
    unhealthy: Type.Integer({
      minimum: 1,
      maximum: 100,
      default: 3,
      description: 'Failed checks in a row that make a target unhealthy.',
    }),
    healthy: Type.Integer({
      minimum: 1,
      maximum: 100,
      default: 2,
      description: 'Passed checks in a row that make it healthy again; one is enough while no target is usable.',
    }),
  },
  { description: 'Active checks: one per target and process; none where it is not written.' },
)

export const ejectionSchema = Fields(
  {
    on: OneOrMany(Choice(['connect-failure', 'reset', 'timeout', '500', '501', '502', '503', '504', '5xx']), {
      minItems: 1,
      default: ['connect-failure', 'reset', 'timeout', '502', '503', '504'],
      description: 'What counts as a failure of the target; a malformed reply counts as `reset`.',
    }),
    consecutive: Type.Integer({
      minimum: 0,
      maximum: 1_000_000,
      default: 5,
      description: 'Failures in a row, over all workers, that eject a target; 0 ejects none for this.',
    }),
    successRate: Maybe(
      Fields(
        {
          minimumHosts: Type.Integer({
            minimum: 2,
            default: 5,
            description: 'Targets with enough calls that it takes to compare them.',
          }),
          requestVolume: Type.Integer({
            minimum: 1,
            default: 100,
            description: 'Calls in an `interval` that it takes to judge a target.',
          }),
          gap: Percent({ default: '5%', description: 'A target that is less than this below the mean stays.' }),
          stdevFactor: Type.Number({
            minimum: 0,
            maximum: 10,
            default: 1.9,
            description: 'A target whose rate lies so many standard deviations below the mean of all is ejected.',
          }),
        },
        { description: 'Ejects targets that succeed less often than their siblings.' },
      ),
    ),
    interval: Duration({ default: '10s', minimum: 1000, description: 'How often success rates are compared.' }),
    baseTime: Duration({
      default: '30s',
      minimum: 100,
      description: 'How long a first ejection lasts; the second twice as long, and so on.',
    }),
    maxTime: Duration({ default: '5m', minimum: 100, description: 'The longest ejection.' }),
    maxPercent: Percent({
      default: '50%',
      description: 'The most of the targets that may be ejected at once, rounded down.',
    }),
  },
  { description: 'Leaves out, for a time, targets that calls found failing; none where it is not written.' },
)

export const slowStartSchema = Shorthand(
  'window',
  Fields(
    {
      window: Duration({ minimum: 1000, description: 'Until a target that came, or came back, has its whole weight.' }),
      minimum: Percent({ default: '10%', description: 'Share of its weight to begin with.' }),
      aggression: Type.Number({
        minimum: 0.1,
        maximum: 10,
        default: 1,
        description: '1 for a straight line; more makes it faster at the beginning.',
      }),
    },
    { description: 'Lets targets that came, or came back, take their load step by step.' },
  ),
)

export const failoverSchema = Fields(
  {
    spillBelow: Percent({
      default: '0%',
      description:
        'When less of a group is usable, a part of its calls goes to the next group; `0%`: only when nothing of it is.',
    }),
    panic: Percent({
      default: '0%',
      description:
        'When no group has this share usable, all targets of one get calls, sick ones too; `0%`: never, calls are answered 503.',
    }),
  },
  { default: {}, description: 'What becomes of calls when targets are sick.' },
)

export type HealthBlueprint = Static<typeof healthSchema>
export type EjectionBlueprint = Static<typeof ejectionSchema>
export type SlowStartBlueprint = Static<typeof slowStartSchema>
