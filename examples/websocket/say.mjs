// Says something over a WebSocket and prints what comes back: node say.mjs URL TEXT... Plain JavaScript for any Node.

import process from 'node:process'
import { WebSocket } from 'ws'

const [url, ...texts] = process.argv.slice(2)
const socket = new WebSocket(url)
const heard = []

socket.on('open', () => {
  for (const text of texts) socket.send(text)
})
socket.on('message', data => {
  console.log(String(data))
  if (texts.includes(String(data))) heard.push(String(data))
  if (heard.length === texts.length) socket.close(1000)
})
socket.on('unexpected-response', (_request, response) => {
  console.log(`refused with ${response.statusCode}`)
  process.exit(0)
})
socket.on('error', error => {
  console.error(error.message)
  process.exitCode = 1
})
