// Two WebSocket services on one port: /echo sends back what it gets, /chat/ROOM passes it on to all in the room.

import process from 'node:process'
import { WebSocket, WebSocketServer } from 'ws'

const rooms = new Map<string, Set<WebSocket>>()
const server = new WebSocketServer({ port: Number(process.argv[2]), host: '127.0.0.1' })

server.on('connection', (socket, request) => {
  const room = /^\/chat\/([^/?]+)/.exec(request.url ?? '')?.[1]
  if (room === undefined) socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
  else join(socket, room)
})

process.once('SIGTERM', () => {
  for (const socket of server.clients) socket.close(1001, 'the service stops')
  server.close()
})
process.on('SIGINT', () => {})

function join(socket: WebSocket, name: string): void {
  const room = rooms.get(name) ?? new Set()
  rooms.set(name, room.add(socket))
  const tell = (text: string): void => {
    for (const other of room) if (other.readyState === WebSocket.OPEN) other.send(text)
  }
  tell(`someone joined ${name}, ${room.size} here`)
  socket.on('message', data => tell(Buffer.isBuffer(data) ? data.toString() : 'something long'))
  socket.on('close', () => {
    room.delete(socket)
    if (room.size === 0) rooms.delete(name)
    else tell(`someone left ${name}, ${room.size} here`)
  })
}
