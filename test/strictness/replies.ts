// Every reply of the strictness tables.

import { replyBodies } from './replies/bodies.ts'
import { replyHeads } from './replies/heads.ts'
import type { ReplyCase } from './reply-case.ts'

export const replies: readonly ReplyCase[] = [...replyHeads, ...replyBodies]
