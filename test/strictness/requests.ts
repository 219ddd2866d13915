// Every request of the strictness tables.

import type { RequestCase } from './case.ts'
import { chunks } from './requests/chunks.ts'
import { connections } from './requests/connection.ts'
import { fields } from './requests/fields.ts'
import { hosts } from './requests/host.ts'
import { bodyLengths } from './requests/length.ts'
import { lineEnds } from './requests/line-ends.ts'
import { requestLine } from './requests/request-line.ts'
import { targets } from './requests/target.ts'

export const requests: readonly RequestCase[] = [
  ...lineEnds,
  ...requestLine,
  ...targets,
  ...hosts,
  ...fields,
  ...bodyLengths,
  ...chunks,
  ...connections,
]
