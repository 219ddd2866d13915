// How much a call matters when an upstream, or the gateway itself, must turn some away.

import { defineFact, type Fact } from './facts.ts'

export type Priority = 'high' | 'normal' | 'low'

/** Calls without it are normal. */
export const priority: Fact<Priority> = defineFact<Priority>('priority')
