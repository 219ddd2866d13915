// One HTTP call by node:http, with all that came back.

import http, { type IncomingHttpHeaders } from 'node:http'

export interface Question {
  readonly method?: string
  readonly path?: string
  readonly headers?: http.OutgoingHttpHeaders | readonly string[]
  readonly body?: string | Buffer
  /** Sends the body without a length. */
  readonly isChunked?: boolean
  /** A connection of its own by default. */
  readonly agent?: http.Agent
  readonly timeoutMs?: number
}

export interface Answer {
  readonly status: number
  readonly reason: string
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: readonly string[]
  readonly trailers: NodeJS.Dict<string>
  readonly body: Buffer
  readonly text: string
  /** False where the body broke off. */
  readonly isWhole: boolean
  /** Statuses of interim replies. */
  readonly interim: readonly number[]
}

/** Rejects where no reply head came. */
export function ask(port: number, question: Question = {}): Promise<Answer> {
  const { method = 'GET', path = '/', headers = {}, body, agent, isChunked = false, timeoutMs = 30_000 } = question
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, method, path, headers, agent: agent ?? false, timeout: timeoutMs }
    const request = http.request(options)
    const interim: number[] = []
    request.on('information', ({ statusCode }) => interim.push(statusCode))
    request.on('timeout', () => request.destroy(new Error(`no answer in ${timeoutMs} ms`)))
    // Node tells of a broken connection here too, also when the reply has begun; that is for `isWhole` to say.
    let hasReply = false
    request.on('error', error => {
      if (!hasReply) reject(error)
    })
    request.on('response', response => {
      hasReply = true
      const chunks: Buffer[] = []
      const settle = () => {
        const whole = Buffer.concat(chunks)
        resolve({
          status: response.statusCode ?? 0,
          reason: response.statusMessage ?? '',
          headers: response.headers,
          rawHeaders: response.rawHeaders,
          trailers: response.trailers,
          body: whole,
          text: whole.toString('utf8'),
          isWhole: response.complete,
          interim,
        })
      }
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', settle)
      response.on('error', settle)
      response.on('close', settle)
    })
    if (isChunked) request.setHeader('transfer-encoding', 'chunked')
    else if (body !== undefined && !request.hasHeader('content-length'))
      request.setHeader('content-length', Buffer.byteLength(body))
    request.end(body)
  })
}

/** The code of a problem reply. */
export function codeOf({ text }: Answer): string {
  return (JSON.parse(text) as { code: string }).code
}
