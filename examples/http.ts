// The little that the example services share: a table of routes over node:http, JSON in and out.

import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import process from 'node:process'

export interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly url: URL
  /** What the `:names` in the route's path stood for. */
  readonly params: Readonly<Record<string, string>>
}

export type Handler = (exchange: Exchange) => void | Promise<void>

/** A status and a text for the caller. */
export class Refusal extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** Serves the table, whose keys read `GET /orders/:id`, on the port given as the first argument of the program. */
export function serve(name: string, table: Readonly<Record<string, Handler>>): http.Server {
  const routes = Object.entries({ ...table, 'GET /healthz': health }).map(([key, handler]) => {
    const [method = '', path = ''] = key.split(' ')
    return { method, pattern: new RegExp(`^${path.replaceAll(/:(\w+)/g, '(?<$1>[^/]+)')}$`), handler }
  })
  const server = http.createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://service')
    const method = request.method === 'HEAD' ? 'GET' : request.method
    for (const route of routes) {
      const match = route.method === method ? route.pattern.exec(url.pathname) : null
      if (match === null) continue
      answer(route.handler, { request, response, url, params: match.groups ?? {} })
      return
    }
    sendProblem(response, 404, `${name} has nothing at ${method} ${url.pathname}`)
  })
  server.listen(Number(process.argv[2]), '127.0.0.1')
  process.once('SIGTERM', () => {
    server.close()
    server.closeAllConnections()
  })
  // A terminal sends Ctrl-C to every process; the order to stop comes from the one that started us.
  process.on('SIGINT', () => {})
  return server
}

function health({ response }: Exchange): void {
  sendJson(response, 200, { status: 'ok' })
}

function answer(handler: Handler, exchange: Exchange): void {
  Promise.resolve()
    .then(() => handler(exchange))
    .catch((error: unknown) => {
      const { response } = exchange
      if (response.headersSent) response.destroy()
      else if (error instanceof Refusal) sendProblem(response, error.status, error.message)
      else sendProblem(response, 500, 'The service failed.')
    })
}

export function sendJson(
  response: ServerResponse,
  status: number,
  value: unknown,
  headers: Record<string, string> = {},
) {
  const body = `${JSON.stringify(value)}\n`
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    'x-powered-by': 'node',
    ...headers,
  })
  response.end(body)
}

function sendProblem(response: ServerResponse, status: number, detail: string): void {
  const title = http.STATUS_CODES[status] ?? 'Error'
  sendJson(response, status, { title, status, detail }, { 'content-type': 'application/problem+json' })
}

/** The request body as JSON; refuses other media types, bad JSON and more than a megabyte. */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  if (!(request.headers['content-type'] ?? '').startsWith('application/json')) {
    throw new Refusal(415, 'Send application/json.')
  }
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > 1_000_000) throw new Refusal(413, 'The body is larger than 1 MB.')
    chunks.push(chunk)
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString())
  } catch {
    throw new Refusal(400, 'The body is not valid JSON.')
  }
}
