// The admin server: metrics, health and control over plain HTTP on its own port. Not on the path of any call.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Log } from '../core/ports.ts'
import { StoreRefusal } from '../core/consumers.ts'
import { createTokenCheck, isHostAllowed, isLoopback, isOriginAllowed, type TokenCheck } from './admin-access.ts'
import type { AdminView } from './admin-view.ts'
import { BodyRefused } from './body.ts'
import { cacheEndpoints } from './cache-endpoints.ts'
import { consumerEndpoints } from './consumer-endpoints.ts'
import { credentialEndpoints } from './credential-endpoints.ts'
import { type Answer, type Endpoint, problem } from './endpoint.ts'
import type { Management } from './management.ts'
import { statusEndpoints } from './status-endpoints.ts'

export interface AdminOptions {
  /** Address to listen on. */
  readonly host: string
  /** 0 takes any free port. */
  readonly port: number
  readonly view: AdminView
  readonly management: Management
  /** What `Authorization: Bearer` must bring; null for nothing. */
  readonly token: string | null
  readonly log: Log
}

export interface AdminServer {
  readonly host: string
  readonly port: number
  /** Takes no further requests, and ends those under way after a second. */
  close(): Promise<void>
}

const endpoints: readonly Endpoint[] = [
  ...statusEndpoints,
  ...cacheEndpoints,
  ...consumerEndpoints,
  ...credentialEndpoints,
]

/** Of a request. */
const bodyBytesMax = 64_000
const requestTimeoutMs = 5000
const closeMs = 1000

/** The address of the admin server cannot be listened on; the message says why. */
export class AdminPortRefused extends Error {}

/** Rejects with `AdminPortRefused` where the address cannot be bound. */
export async function startAdmin(options: AdminOptions): Promise<AdminServer> {
  const { host, port } = options
  const isTokenRight = createTokenCheck(options.token)
  const server = createServer(
    // Node looks for requests that take too long every 30 seconds unless it is told otherwise.
    { requestTimeout: requestTimeoutMs, headersTimeout: requestTimeoutMs, connectionsCheckingInterval: 1_000 },
    (request, response) => void handle(request, response, options, isTokenRight),
  )
  server.keepAliveTimeout = 60_000
  server.maxConnections = 256
  await listen(server, host, port)
  const address = server.address() as AddressInfo
  return { host: address.address, port: address.port, close: () => close(server) }
}

async function handle(
  request: IncomingMessage,
  response: ServerResponse,
  options: AdminOptions,
  isTokenRight: TokenCheck,
): Promise<void> {
  try {
    send(request, response, await answer(request, options, isTokenRight))
  } catch (error) {
    const refused = refusalOf(error)
    if (refused === null) options.log.error({ err: error, url: request.url }, 'the admin server failed to answer')
    send(request, response, refused ?? problem(500, 'the gateway failed to answer; its log says why'))
  } finally {
    // What comes beyond is thrown away within the request's time.
    request.resume()
  }
}

async function answer(request: IncomingMessage, options: AdminOptions, isTokenRight: TokenCheck): Promise<Answer> {
  const [path = '/', search = ''] = (request.url ?? '/').split('?', 2)
  const found = endpoints.filter(endpoint => endpoint.path.test(path))
  const endpoint = found.find(({ method }) => method === (request.method === 'HEAD' ? 'GET' : request.method))
  const denied = refuseAccess(request, endpoint, options, isTokenRight)
  if (denied !== null) return denied
  if (found.length === 0) {
    return problem(404, 'there is nothing here; try /metrics, /healthz, /readyz, /config, /workers or /consumers')
  }
  if (endpoint === undefined)
    return { ...problem(405, `this takes ${allowed(found)}`), headers: { allow: allowed(found) } }
  const parameters = decoded(endpoint.path.exec(path)?.slice(1) ?? [])
  if (parameters === null) return problem(400, 'the path has a percent sign that begins no encoded character')
  const body = await bodyOf(request)
  if (body === null) return problem(413, `a body may have ${bodyBytesMax} bytes`)
  const { headers } = request
  return endpoint.answer(
    { headers, parameters, query: new URLSearchParams(search), body },
    options.view,
    options.management,
  )
}

function refuseAccess(
  { method, headers }: IncomingMessage,
  endpoint: Endpoint | undefined,
  { host, token }: AdminOptions,
  isTokenRight: TokenCheck,
): Answer | null {
  const isBeyond = !isLoopback(host)
  const isPublic = endpoint?.isPublic ?? false
  if (!(isPublic && isBeyond) && !isHostAllowed(headers.host, host)) {
    return problem(421, 'the Host field must be an IP address, localhost or the configured admin host')
  }
  if (method !== 'GET' && method !== 'HEAD' && !isOriginAllowed(headers)) {
    return problem(403, 'requests of web pages from other origins are refused')
  }
  if (isPublic) return null
  if (token === null) {
    if (!isBeyond || endpoint?.isManagement !== true) return null
    return problem(403, 'beyond loopback consumers are managed with a token alone: set `admin.token` in the config')
  }
  if (isTokenRight(headers.authorization)) return null
  const challenge = { 'www-authenticate': 'Bearer realm="turnpike admin"' }
  return { ...problem(401, 'send the token of `admin.token` as `Authorization: Bearer …`'), headers: challenge }
}

/** What the caller did wrong; null for what is no fault of theirs. */
function refusalOf(error: unknown): Answer | null {
  if (error instanceof BodyRefused) return problem(400, error.message, error.errors)
  if (!(error instanceof StoreRefusal)) return null
  const { reason, member, message, hint } = error
  // What the path names is missing: 404. What the body names is a mistake in it.
  const status = reason === 'unknown' ? 404 : 409
  return problem(status, message, [{ member, message, hint }])
}

function decoded(parts: readonly string[]): string[] | null {
  try {
    return parts.map(decodeURIComponent)
  } catch {
    return null
  }
}

/** Null for one that is too long. */
async function bodyOf(request: IncomingMessage): Promise<string | null> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of request) {
    const bytes = chunk as Buffer
    length += bytes.length
    if (length <= bodyBytesMax) chunks.push(bytes)
  }
  return length > bodyBytesMax ? null : Buffer.concat(chunks).toString('utf8')
}

function allowed(found: readonly Endpoint[]): string {
  return found.map(({ method }) => (method === 'GET' ? 'GET, HEAD' : method)).join(', ')
}

function send(
  request: IncomingMessage,
  response: ServerResponse,
  { status, contentType, text, headers }: Answer,
): void {
  response.writeHead(status, {
    'content-type': contentType,
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...headers,
  })
  response.end(request.method === 'HEAD' ? undefined : text)
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const reason = cause.code === 'EADDRINUSE' ? 'another program listens there' : cause.message
      const hint = 'choose another admin.port or admin.host'
      reject(new AdminPortRefused(`the admin server cannot listen on ${host}:${port}: ${reason}; ${hint}`, { cause }))
    })
    server.listen(port, host, () => {
      server.removeAllListeners('error')
      resolve()
    })
  })
}

function close(server: Server): Promise<void> {
  return new Promise(resolve => {
    const cut = setTimeout(() => server.closeAllConnections(), closeMs)
    server.close(() => {
      clearTimeout(cut)
      resolve()
    })
    server.closeIdleConnections()
  })
}
