// A server in a process of its own that can be made sick: it behaves as its parent tells it, by messages and by signals, and counts
// what it is asked for.
//
//   node victim.ts NAME PORT

import net, { type Server, type Socket } from 'node:net'
import process from 'node:process'

export type Sickness =
  | 'none'
  | 'unavailable'
  | 'half-unavailable'
  | 'resets'
  | 'slow'
  | 'lags'
  | 'holds'
  | 'garbage'
  | 'half-closes'
  | 'refuses'
  | 'deaf'

/** Paths that were asked for one after the other, each with how often in a row. */
export type Runs = readonly (readonly [path: string, count: number])[]

/** What it was asked for. */
export interface Asked {
  /** Since it was started, by path. */
  readonly byPath: Readonly<Record<string, number>>
  /** Since it was last told what to be. */
  readonly runs: Runs
}

const [, , name = '', wantedPort = '0'] = process.argv
let sickness: Sickness = 'none'
const byPath: Record<string, number> = {}
let runs: [path: string, count: number][] = []
/** Those that wait for an answer until it is told to be something else. */
let held: Socket[] = []
let served = 0
const sockets = new Set<Socket>()

/** What it does when it has read a request. */
const answers: Record<Sickness, (socket: Socket) => void> = {
  none: socket => void socket.write(reply('200 OK')),
  unavailable: socket => void socket.write(reply('503 Service Unavailable')),
  'half-unavailable': socket => void socket.write(reply(served % 2 === 0 ? '503 Service Unavailable' : '200 OK')),
  resets: socket => void (Math.random() < 0.5 ? socket.resetAndDestroy() : socket.write(reply('200 OK'))),
  slow: socket => void setTimeout(() => socket.write(reply('200 OK')), 1_500),
  lags: socket => void setTimeout(() => socket.write(reply('200 OK')), 400),
  holds: socket => void held.push(socket),
  garbage: socket => void socket.write('\u0000\u0001SSH-2.0-none of this is HTTP\r\n\r\n'),
  'half-closes': socket => void socket.end(),
  refuses: socket => void socket.destroy(),
  deaf: () => {},
}

function reply(status: string): string {
  return `HTTP/1.1 ${status}\r\nContent-Length: ${name.length}\r\nX-Victim: ${name}\r\n\r\n${name}`
}

function count(path: string): void {
  served++
  byPath[path] = (byPath[path] ?? 0) + 1
  const last = runs.at(-1)
  if (last?.[0] === path) last[1]++
  else runs.push([path, 1])
}

const server: Server = net.createServer({ allowHalfOpen: true }, socket => {
  sockets.add(socket)
  let text = ''
  socket.setNoDelay(true)
  socket.on('data', chunk => {
    text += chunk.toString('latin1')
    for (let end = text.indexOf('\r\n\r\n'); end !== -1; end = text.indexOf('\r\n\r\n')) {
      count(text.split(' ', 2)[1] ?? '')
      text = text.slice(end + 4)
      answers[sickness](socket)
    }
  })
  socket.on('end', () => socket.end())
  socket.on('error', () => {})
  socket.on('close', () => sockets.delete(socket))
})

function listen(port: number): void {
  server.listen({ port, host: '127.0.0.1', backlog: 512 }, () => {
    const address = server.address()
    process.send?.({ port: address !== null && typeof address === 'object' ? address.port : 0 })
  })
}

process.on('message', (message: { readonly be?: Sickness; readonly count?: true }) => {
  if (message.count) process.send?.({ asked: { byPath, runs } satisfies Asked })
  const { be } = message
  if (be === undefined) return
  const wasRefusing = sickness === 'refuses'
  sickness = be
  runs = []
  const waiting = held
  held = []
  for (const socket of waiting) socket.write(reply('200 OK'))
  if (be === 'refuses') {
    lastPort = portNow()
    server.close(() => process.send?.({ is: be }))
    for (const socket of sockets) socket.resetAndDestroy()
  } else {
    if (wasRefusing) listen(lastPort)
    process.send?.({ is: be })
  }
})
process.on('disconnect', () => process.exit())

let lastPort = Number(wantedPort)
const portNow = () => {
  const address = server.address()
  return address !== null && typeof address === 'object' ? address.port : lastPort
}
listen(lastPort)
