// The service of talk.proto as grpc-js sees it, for the server and the client.

import path from 'node:path'
import type { ServiceDefinition } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'

export interface Text {
  readonly text: string
}

const definition = loadSync(path.join(import.meta.dirname, 'talk.proto'), { keepCase: true })

export const talk = definition['talk.Talk'] as ServiceDefinition
