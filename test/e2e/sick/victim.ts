// A server in a process of its own that can be made sick: it behaves as its parent tells it, by messages and by signals.
//
//   node victim.ts NAME PORT

import net, { type Server, type Socket } from 'node:net'
import process from 'node:process'

export type Sickness = 'none' | 'unavailable' | 'resets' | 'slow' | 'garbage' | 'half-closes' | 'refuses' | 'deaf'

const [, , name = '', wantedPort = '0'] = process.argv
let sickness: Sickness = 'none'
let served = 0
const sockets = new Set<Socket>()

/** What it does when it has read a request. */
const answers: Record<Sickness, (socket: Socket) => void> = {
  none: socket => void socket.write(reply('200 OK')),
  unavailable: socket => void socket.write(reply('503 Service Unavailable')),
  resets: socket => void (Math.random() < 0.5 ? socket.resetAndDestroy() : socket.write(reply('200 OK'))),
  slow: socket => void setTimeout(() => socket.write(reply('200 OK')), 1_500),
  garbage: socket => void socket.write('\u0000\u0001SSH-2.0-none of this is HTTP\r\n\r\n'),
  'half-closes': socket => void socket.end(),
  refuses: socket => void socket.destroy(),
  deaf: () => {},
}

function reply(status: string): string {
  return `HTTP/1.1 ${status}\r\nContent-Length: ${name.length}\r\nX-Victim: ${name}\r\n\r\n${name}`
}

const server: Server = net.createServer({ allowHalfOpen: true }, socket => {
  sockets.add(socket)
  let text = ''
  socket.setNoDelay(true)
  socket.on('data', chunk => {
    text += chunk.toString('latin1')
    for (let end = text.indexOf('\r\n\r\n'); end !== -1; end = text.indexOf('\r\n\r\n')) {
      text = text.slice(end + 4)
      served++
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
  if (message.count) process.send?.({ served })
  const { be } = message
  if (be === undefined) return
  const wasRefusing = sickness === 'refuses'
  sickness = be
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
