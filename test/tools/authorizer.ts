// A service that speaks Envoy's gRPC contract for access checks, by @grpc/grpc-js and a definition of its own.

import path from 'node:path'
import {
  type handleUnaryCall,
  type MethodDefinition,
  type sendUnaryData,
  Server,
  ServerCredentials,
  type ServiceDefinition,
  type StatusObject,
} from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'

const file = path.join(import.meta.dirname, '..', 'fixtures', 'external-auth.proto')
const definition = loadSync(file, { keepCase: true, longs: Number, enums: String, oneofs: false })

// The border: what the file defines.
const service = definition['envoy.service.auth.v3.Authorization'] as ServiceDefinition
const check = service['Check'] as MethodDefinition<object, object>

/** The messages as an independent implementation reads and writes them. */
export const messages: {
  readRequest(bytes: Buffer): CheckRequestSeen
  writeResponse(response: object): Buffer
} = {
  readRequest: bytes => check.requestDeserialize(bytes) as CheckRequestSeen,
  writeResponse: response => check.responseSerialize(response),
}

interface PeerSeen {
  readonly address: { readonly socket_address: { readonly address: string; readonly port_value: number } }
  readonly principal?: string
}

export interface CheckRequestSeen {
  readonly attributes: {
    readonly source: PeerSeen
    readonly destination: PeerSeen
    readonly request: {
      readonly time: { readonly seconds: number; readonly nanos?: number }
      readonly http: {
        readonly id?: string
        readonly method: string
        readonly headers?: Readonly<Record<string, string>>
        readonly path: string
        readonly host: string
        readonly scheme: string
        readonly query?: string
        readonly size?: number
        readonly protocol: string
        readonly body?: string
        readonly raw_body?: Buffer
      }
    }
    readonly context_extensions?: Readonly<Record<string, string>>
    readonly metadata_context?: object
    readonly route_metadata_context?: object
  }
}

export type Decide = (request: CheckRequestSeen, deadlineMs: number) => object | Promise<object>

/** Owns a server on a port of the loopback address. */
export class Authorizer implements Disposable {
  readonly port: number
  readonly #server: Server

  private constructor(server: Server, port: number) {
    this.#server = server
    this.port = port
  }

  /** `decide` gives the CheckResponse; an object with `code` and `details` that it throws is the gRPC status of the call. */
  static async start(decide: Decide, options: { port?: number; tls?: { cert: string; key: string } } = {}) {
    const server = new Server()
    const handler: handleUnaryCall<CheckRequestSeen, object> = (call, done) => {
      void answer(decide, call.request, Number(call.getDeadline()) - Date.now(), done)
    }
    server.addService(service, { Check: handler })
    const pair = options.tls && {
      cert_chain: Buffer.from(options.tls.cert),
      private_key: Buffer.from(options.tls.key),
    }
    const credentials =
      pair === undefined ? ServerCredentials.createInsecure() : ServerCredentials.createSsl(null, [pair])
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync(`127.0.0.1:${options.port ?? 0}`, credentials, (error, found) =>
        error === null ? resolve(found) : reject(error),
      )
    })
    return new Authorizer(server, port)
  }

  /** Finishes calls under way, and tells clients by GOAWAY to send no more. */
  drain(): Promise<void> {
    return new Promise(resolve => this.#server.tryShutdown(() => resolve()))
  }

  [Symbol.dispose](): void {
    this.#server.forceShutdown()
  }
}

async function answer(
  decide: Decide,
  request: CheckRequestSeen,
  deadlineMs: number,
  done: sendUnaryData<object>,
): Promise<void> {
  try {
    done(null, await decide(request, deadlineMs))
  } catch (status) {
    done(status as Partial<StatusObject>)
  }
}
