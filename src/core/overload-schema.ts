// The part of the config language about the gateway's own limits: when it refuses calls to stay alive.

import { Duration, Fields, Maybe, Percent, Size, type Static, Type } from './schema.ts'

const memorySchema = Fields({
  enabled: Type.Boolean({ default: true, description: 'Whether calls are refused for want of memory at all.' }),
  limit: Maybe(
    Size({
      description:
        'Memory that the process may have in all; that of its control group, or of the machine, where it is not written.',
    }),
  ),
  low: Percent({ default: '85%', description: 'From this share on, calls of priority `low` are refused.' }),
  normal: Percent({ default: '90%', description: 'The same for calls of priority `normal`.' }),
  high: Percent({ default: '95%', description: 'The same for all calls.' }),
  resume: Percent({
    default: '95%',
    description: 'Calls are taken again when the use is below this share of what made them be refused.',
  }),
})

const delaySchema = Fields({
  low: Duration({ default: '250ms', description: 'From this delay on, calls of priority `low` are refused.' }),
  normal: Duration({ default: '500ms', description: 'The same for calls of priority `normal`.' }),
  high: Duration({ default: '1s', description: 'The same for all calls.' }),
  resume: Percent({
    default: '50%',
    description: 'Calls are taken again when the delay is below this share of what made them be refused.',
  }),
})

export const overloadSchema = Fields({
  memory: {
    ...memorySchema,
    default: {},
    description: 'Refuses calls when the process, or the heap of a worker, has used up most of its memory.',
  },
  delay: Maybe({
    ...delaySchema,
    description:
      'Refuses calls when the event loop of a worker is late twice within five beats; not done where it is not written.',
  }),
  descriptors: Fields(
    {
      reserve: Maybe(
        Type.Integer({
          minimum: 8,
          maximum: 1_000_000,
          description:
            'How many; an eighth of `ulimit -n`, but at most 1024, where it is not written. Never more than half are kept.',
        }),
      ),
    },
    {
      default: {},
      description: 'File descriptors that are kept from connections of clients: for upstreams, the admin port, files.',
    },
  ),
  retryAfter: Duration({
    default: '5s',
    description: 'What refused calls are told in `Retry-After`, in whole seconds from 1 on.',
  }),
})

export type OverloadBlueprint = Static<typeof overloadSchema>
