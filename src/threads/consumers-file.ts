// Where in the folder for data the consumers are kept.

import path from 'node:path'

export function consumersFile(data: string): string {
  return path.join(data, 'consumers.sqlite')
}
