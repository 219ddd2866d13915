// The admin server: metrics, health and control over plain HTTP on its own port. Not on the path of any call.

import { createServer, type IncomingMessage, STATUS_CODES, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Log } from '../core/ports.ts'
import { isHostAllowed, isLoopback, isOriginAllowed } from './admin-access.ts'
import type { AdminView } from './admin-view.ts'

export interface AdminOptions {
  /** Address to listen on. */
  readonly host: string
  /** 0 takes any free port. */
  readonly port: number
  readonly view: AdminView
  readonly log: Log
}

export interface AdminServer {
  readonly host: string
  readonly port: number
  /** Takes no further requests, and ends those under way after a second. */
  close(): Promise<void>
}

interface Answer {
  readonly status: number
  readonly contentType: string
  readonly text: string
  readonly allow?: string
}

interface Endpoint {
  readonly method: 'GET' | 'POST'
  readonly path: RegExp
  /** Readable under any name where the server listens beyond loopback, so that scrapers and probes can use DNS names. */
  readonly isPublic?: boolean
  answer(view: AdminView, request: IncomingMessage, parameter: string): Answer | Promise<Answer>
}

const endpoints: readonly Endpoint[] = [
  {
    method: 'GET',
    path: /^\/metrics$/,
    isPublic: true,
    answer: (view, request) => ({ status: 200, ...view.metrics(request.headers.accept) }),
  },
  { method: 'GET', path: /^\/healthz$/, isPublic: true, answer: () => json(200, { status: 'alive' }) },
  {
    method: 'GET',
    path: /^\/readyz$/,
    isPublic: true,
    answer: view => {
      const readiness = view.readiness()
      return json(readiness.isReady ? 200 : 503, readiness)
    },
  },
  { method: 'GET', path: /^\/config$/, answer: view => json(200, view.config()) },
  { method: 'GET', path: /^\/workers$/, answer: view => json(200, view.workers()) },
  {
    method: 'POST',
    path: /^\/reload$/,
    answer: async view => {
      const result = await view.reload()
      return json(result.result === 'refused' ? 422 : 200, result)
    },
  },
  {
    method: 'POST',
    path: /^\/workers\/(\d{1,4})\/replace$/,
    answer: async (view, _request, id) => {
      const isReplaced = await view.replaceWorker(Number(id))
      return isReplaced
        ? json(200, { replaced: Number(id) })
        : problem(404, `there is no worker ${id}; see GET /workers`)
    },
  },
]

const requestTimeoutMs = 5000
const closeMs = 1000

/** The address of the admin server cannot be listened on; the message says why. */
export class AdminPortRefused extends Error {}

/** Rejects with `AdminPortRefused` where the address cannot be bound. */
export async function startAdmin({ host, port, view, log }: AdminOptions): Promise<AdminServer> {
  const server = createServer(
    { requestTimeout: requestTimeoutMs, headersTimeout: requestTimeoutMs },
    (request, response) => {
      void handle(request, response, host, view, log)
    },
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
  host: string,
  view: AdminView,
  log: Log,
): Promise<void> {
  // Nothing here takes a body; what comes is thrown away within the request's time.
  request.resume()
  try {
    send(request, response, await answer(request, host, view))
  } catch (error) {
    log.error({ error, url: request.url }, 'the admin server failed to answer')
    send(request, response, problem(500, 'the gateway failed to answer; its log says why'))
  }
}

async function answer(request: IncomingMessage, host: string, view: AdminView): Promise<Answer> {
  const path = (request.url ?? '/').split('?', 1)[0] ?? '/'
  const found = endpoints.filter(endpoint => endpoint.path.test(path))
  const endpoint = found.find(({ method }) => method === (request.method === 'HEAD' ? 'GET' : request.method))
  const isPublic = (endpoint?.isPublic ?? false) && !isLoopback(host)
  if (!isPublic && !isHostAllowed(request.headers.host, host)) {
    return problem(421, 'the Host field must be an IP address, localhost or the configured admin host')
  }
  if (found.length === 0)
    return problem(404, 'there is nothing here; try /metrics, /healthz, /readyz, /config or /workers')
  if (endpoint === undefined) return { ...problem(405, `this takes ${allowed(found)}`), allow: allowed(found) }
  if (endpoint.method === 'POST' && !isOriginAllowed(request.headers)) {
    return problem(403, 'requests of web pages from other origins are refused')
  }
  return endpoint.answer(view, request, endpoint.path.exec(path)?.[1] ?? '')
}

function allowed(found: readonly Endpoint[]): string {
  return found.map(({ method }) => (method === 'GET' ? 'GET, HEAD' : method)).join(', ')
}

function json(status: number, value: unknown): Answer {
  return { status, contentType: 'application/json', text: `${JSON.stringify(value, null, 2)}\n` }
}

/** Problem details, RFC 9457. */
function problem(status: number, detail: string): Answer {
  const text = JSON.stringify({ title: STATUS_CODES[status], status, detail }, null, 2)
  return { status, contentType: 'application/problem+json', text: `${text}\n` }
}

function send(request: IncomingMessage, response: ServerResponse, { status, contentType, text, allow }: Answer): void {
  response.writeHead(status, {
    'content-type': contentType,
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(allow !== undefined && { allow }),
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
