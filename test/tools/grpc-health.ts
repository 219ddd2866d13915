// A server of grpc.health.v1 by @grpc/grpc-js and a definition of its own.

import path from 'node:path'
import { type handleUnaryCall, Server, ServerCredentials, type ServiceDefinition, status } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'

const file = path.join(import.meta.dirname, '..', 'fixtures', 'health.proto')
// The border: what the file defines.
const service = loadSync(file, { enums: String, defaults: true })['grpc.health.v1.Health'] as ServiceDefinition

export interface GrpcHealthOptions {
  readonly tls?: { readonly cert: string; readonly key: string }
}

/** Owns a server on a port of the loopback address. */
export class GrpcHealth implements Disposable {
  readonly port: number
  /** Status by name of the service; the server answers NOT_FOUND for others. */
  readonly statuses: Map<string, string> = new Map()
  /** Services asked for, in order. */
  readonly asked: string[] = []
  readonly #server: Server

  private constructor(server: Server, port: number) {
    this.#server = server
    this.port = port
  }

  static async start({ tls }: GrpcHealthOptions = {}): Promise<GrpcHealth> {
    const server = new Server()
    const check: handleUnaryCall<{ service: string }, { status: string }> = ({ request }, done) => {
      health.asked.push(request.service)
      const known = health.statuses.get(request.service)
      if (known === undefined) done({ code: status.NOT_FOUND, details: 'unknown service' })
      else done(null, { status: known })
    }
    server.addService(service, { Check: check })
    const credentials =
      tls === undefined
        ? ServerCredentials.createInsecure()
        : ServerCredentials.createSsl(null, [{ cert_chain: Buffer.from(tls.cert), private_key: Buffer.from(tls.key) }])
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', credentials, (error, bound) => (error === null ? resolve(bound) : reject(error)))
    })
    const health = new GrpcHealth(server, port)
    return health
  }

  [Symbol.dispose](): void {
    this.#server.forceShutdown()
  }
}
