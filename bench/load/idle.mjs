// Opens connections, makes one call on each and then holds them: node idle.mjs HOST PORT COUNT PATH. Ends with its input.

import net from 'node:net'
import process from 'node:process'

const [host, port, count, path] = process.argv.slice(2)
const wanted = Number(count)
let opened = 0
let answered = 0

process.stdin.on('end', () => process.exit(0)).resume()
for (let i = 0; i < 200 && i < wanted; i++) open()

function open() {
  opened += 1
  const socket = net.connect(Number(port), host)
  let isAnswered = false
  socket.write(`GET ${path} HTTP/1.1\r\nHost: bench.example\r\n\r\n`)
  socket.on('data', () => {
    if (isAnswered) return
    isAnswered = true
    answered += 1
    if (opened < wanted) open()
    if (answered === wanted) process.stdout.write('all open\n')
  })
  socket.on('error', error => fail(error.message))
  socket.on('close', () => fail('a connection was closed'))
}

function fail(reason) {
  process.stdout.write(`failed after ${answered}: ${reason}\n`)
  process.exit(1)
}
