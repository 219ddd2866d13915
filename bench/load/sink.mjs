// An upstream that reads request bodies of known length whole and then answers: node sink.mjs PORT.
// nginx cannot stand in for it: its `return` answers before the body has come.

import net from 'node:net'
import process from 'node:process'

const reply = Buffer.from('HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n')

net
  .createServer({ noDelay: true }, socket => {
    let left = 0
    let head = ''
    socket.on('data', chunk => {
      let rest = chunk
      if (left === 0) {
        head += rest.latin1Slice(0, rest.length)
        const end = head.indexOf('\r\n\r\n')
        if (end < 0) return
        const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1])
        if (Number.isNaN(length)) {
          socket.destroy()
          return
        }
        rest = rest.subarray(rest.length - (head.length - end - 4))
        head = ''
        left = length
      }
      left -= rest.length
      if (left === 0) socket.write(reply)
      if (left < 0) socket.destroy()
    })
    socket.on('error', () => {})
  })
  .listen(Number(process.argv[2]), '127.0.0.1', 4096)
