// What one thread costs or can do, where there is nothing to compare it with.

import { type Scenario, scriptScenario } from '../scenario.ts'

export const figures: readonly Scenario[] = [
  scriptScenario({
    name: 'guarded',
    title: 'What each guard adds',
    note: 'CPU of one thread per call without sockets, `bench/micro/guarded.ts`: 10,000 of 100,000 consumers call in turn.',
    script: 'guarded.ts',
  }),
  scriptScenario({
    name: 'targets',
    title: 'What it costs to watch targets, and to hash',
    note:
      'CPU of one thread per call without sockets, `bench/micro/targets.ts`: eight targets that answer at once, the best of 20 ' +
      'rounds of 100,000 calls in turn. Rounds of nothing differ by some tens of nanoseconds.',
    script: 'targets.ts',
  }),
  scriptScenario({
    name: 'sending',
    title: 'What stands around a try',
    note: 'CPU of one thread per call without sockets, `bench/micro/sending.ts`, each feature alone and all together.',
    script: 'sending.ts',
  }),
  scriptScenario({
    name: 'keys',
    title: 'Finding whose key it is',
    note:
      'One thread, `bench/micro/directory.ts`: a key that is at hand, one that is known to be nobody’s, and whether time tells an ' +
      'unknown key from a revoked or expired one (50 % tells nothing).',
    script: 'directory.ts',
  }),
  scriptScenario({
    name: 'credentials',
    title: 'A million credentials',
    note:
      'One thread, `bench/micro/consumers.ts`: look-ups in the file that no cache answers, and the memory of a worker before and ' +
      'after every key was asked for once.',
    script: 'consumers.ts',
  }),
  scriptScenario({
    name: 'signatures',
    title: 'Verifying tokens for the first time',
    note: 'Signatures per second, `bench/micro/jwt.ts`: in one thread, and spread over the threads of libuv, all on one core.',
    script: 'jwt.ts',
  }),
  scriptScenario({
    name: 'store-limits',
    title: 'Limits in a server of counts',
    note: 'One thread, 64 calls at a time, and a Redis server that shares its core, `bench/micro/valkey-limits.ts`.',
    script: 'valkey-limits.ts',
  }),
]
