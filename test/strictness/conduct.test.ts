// Peers that behave badly in time rather than in bytes: slow, early, gone. Right status, and nothing left behind.

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { get, post } from './case.ts'
import { useGateway } from './wire/bench.ts'
import type { Peer } from './wire/peer.ts'

const okReply = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

describe('conduct', { timeout: 120_000 }, () => {
  describe('of slow clients', () => {
    const { connect, begin } = useGateway()
    it('408 for half a head', async () => {
      const client = await connect()
      client.send('GET / HTTP/1.1\r\nHo')
      await client.closed()
      assert.match(client.text, /^HTTP\/1\.1 408 /)
      assert.match(client.text, /\r\nconnection: close\r\n/i)
    })

    it('408 for a head that drips, however steadily', async () => {
      const client = await connect()
      const startedMs = Date.now()
      const drip = setInterval(() => client.send('X'), 40)
      client.send('GET / HTTP/1.1\r\nX: ')
      await client.until(/^HTTP\/1\.1 408 /).finally(() => clearInterval(drip))
      assert.ok(Date.now() - startedMs < 3_000)
      await client.closed()
    })

    it('408 for half a body, and the upstream is told', async () => {
      const { client, server } = await begin(post(['Content-Length: 10'], 'ab'))
      await client.closed()
      assert.match(client.text, /^HTTP\/1\.1 408 /)
      await server.closed()
    })

    it('408 for half a chunk, and the upstream never sees an end', async () => {
      const { client, server } = await begin(post(['Transfer-Encoding: chunked'], '5\r\nab'))
      await client.closed()
      assert.match(client.text, /^HTTP\/1\.1 408 /)
      await server.closed()
      assert.ok(!server.text.endsWith('0\r\n\r\n'))
    })

    it('closed without a word when nothing was asked', async () => {
      const client = await connect()
      await client.closed()
      assert.equal(client.text, '')
    })

    it('closed without a word when idle behind a call', async () => {
      const { client, server } = await begin(get())
      server.send(okReply)
      await client.closed()
      assert.match(client.text, /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nok$/)
    })
  })

  describe('of clients that vanish', () => {
    const bench = useGateway()
    const { connect, begin } = bench
    const leave = { fin: (peer: Peer) => peer.socket.end(), rst: (peer: Peer) => peer.socket.resetAndDestroy() }
    for (const [how, go] of Object.entries(leave)) {
      it(`${how} before a byte`, async () => {
        const client = await connect()
        go(client)
        await client.closed()
      })

      it(`${how} in a head`, async () => {
        const client = await connect()
        client.send('GET / HTT')
        go(client)
        await client.closed()
      })

      it(`${how} in a request body`, async () => {
        const { client, server } = await begin(post(['Content-Length: 10'], 'abc'))
        go(client)
        await server.closed()
        assert.ok(server.text.endsWith('abc'))
      })

      it(`${how} in a chunked request body: the upstream never sees an end`, async () => {
        const { client, server } = await begin(post(['Transfer-Encoding: chunked'], '3\r\nabc\r\n'))
        go(client)
        await server.closed()
        assert.ok(!server.text.endsWith('0\r\n\r\n'))
      })

      it(`${how} while the reply is awaited`, async () => {
        const { client, server } = await begin(get())
        go(client)
        await server.closed()
      })

      it(`${how} in a reply`, async () => {
        const { client, server } = await begin(get())
        server.send('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nsome')
        await client.until('some')
        go(client)
        await server.closed()
      })

      it(`${how} in an endless reply`, async () => {
        const { client, server } = await begin(get())
        server.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n')
        const stream = setInterval(() => server.send('1\r\nb\r\n'), 5)
        await client.until('1\r\nb').finally(() => go(client))
        await server.closed().finally(() => clearInterval(stream))
      })

      it(`${how} with another call in the pipeline, which is never sent on`, async () => {
        const { client, server } = await begin(get() + get('X: second'))
        go(client)
        await server.closed()
        assert.equal(bench.peers().length, 1)
        assert.ok(!server.text.includes('second'))
      })

      it(`${how} between 100 Continue and the body`, async () => {
        const { client, server } = await begin(post(['Expect: 100-continue', 'Content-Length: 5'], ''))
        server.send('HTTP/1.1 100 Continue\r\n\r\n')
        await client.until('100 Continue')
        go(client)
        await server.closed()
      })
    }

    it('a client that does not read an endless reply is cut off, and so is the upstream', async () => {
      const { client, server } = await begin(get())
      client.socket.pause()
      server.send('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n')
      const block = 'x'.repeat(65_536)
      const stream = setInterval(() => {
        if (server.socket.writableLength < 1_000_000) server.send(block)
      }, 2)
      await server.closed().finally(() => clearInterval(stream))
      client.socket.resume()
      await client.closed()
    })
  })

  describe('of early upstreams', () => {
    const bench = useGateway()
    const { begin } = bench
    it('a reply ahead of the body: passed on, and both connections closed', async () => {
      const { client, server } = await begin(post(['Content-Length: 100000'], 'abc'))
      server.send('HTTP/1.1 413 Too Much\r\nContent-Length: 2\r\n\r\nno')
      await client.until('no')
      assert.match(client.text, /^HTTP\/1\.1 413 Too Much\r\n/)
      assert.match(client.text, /\r\nconnection: close\r\n/i)
      client.send('x'.repeat(90_000))
      await client.closed()
      await server.closed()
    })

    it('a reply ahead of an endless body', async () => {
      const { client, server } = await begin(post(['Transfer-Encoding: chunked'], '3\r\nabc\r\n'))
      const stream = setInterval(() => client.send('1\r\nx\r\n'), 2)
      server.send('HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno')
      await client.until('no').finally(() => clearInterval(stream))
      await client.closed()
      await server.closed()
      assert.ok(!server.text.endsWith('0\r\n\r\n'))
    })

    it('a reply ahead of the body, then a reset: the reply still arrives', async () => {
      const { client, server } = await begin(post(['Content-Length: 10'], 'abc'))
      server.send('HTTP/1.1 400 No\r\nContent-Length: 2\r\n\r\nno')
      server.socket.end()
      await client.until(/^HTTP\/1\.1 400 No\r\n[^]*no$/)
      await client.closed()
    })

    it('a pipelined call behind a request whose body nobody read is not taken from that body', async () => {
      const hidden = get('X: hidden')
      const { client, server } = await begin(post(['Content-Length: 1000'], ''))
      server.send('HTTP/1.1 413 Too Much\r\nContent-Length: 0\r\n\r\n')
      await client.until(' 413 ')
      client.send(hidden)
      await client.closed()
      assert.ok(bench.peers().every(({ text }) => !text.includes('hidden')))
      assert.equal(client.text.match(/HTTP\/1\.1/g)?.length, 1)
    })
  })

  describe('of Expect', () => {
    const { begin } = useGateway()
    it('100 comes from the upstream, and the body goes after it', async () => {
      const { client, server } = await begin(post(['Expect: 100-continue', 'Content-Length: 5'], ''))
      assert.match(server.text, /\r\nexpect: 100-continue\r\n/i)
      assert.equal(client.text, '')
      server.send('HTTP/1.1 100 Continue\r\n\r\n')
      await client.until('HTTP/1.1 100 Continue\r\n\r\n')
      client.send('hello')
      await server.until('hello')
      server.send(okReply)
      await client.until(/100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n[^]*ok$/)
      client.socket.destroy()
    })

    it('a refusal instead of 100 closes: the body may be on its way or not', async () => {
      const { client, server } = await begin(post(['Expect: 100-continue', 'Content-Length: 5'], ''))
      server.send('HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n')
      await client.closed()
      assert.match(client.text, /^HTTP\/1\.1 401 No\r\n/)
      assert.match(client.text, /\r\nconnection: close\r\n/i)
      assert.ok(!client.text.includes('100 Continue'))
    })

    it('an HTTP/1.0 client gets no interim reply', async () => {
      const { client, server } = await begin('GET / HTTP/1.0\r\nHost: a.test\r\n\r\n')
      server.send(`HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${okReply}`)
      await client.closed()
      assert.match(client.text, /^HTTP\/1\.1 200 OK\r\n[^]*ok$/)
    })
  })

  describe('of upstreams that vanish', () => {
    const bench = useGateway()
    const { begin } = bench
    for (const method of ['POST', 'GET']) {
      it(`${method} is not sent twice once a reply has started`, async () => {
        const { client, server } = await begin(`${method} / HTTP/1.1\r\nHost: a.test\r\n\r\n`)
        server.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nsome')
        await client.until('some')
        server.socket.resetAndDestroy()
        await client.closed()
        assert.equal(bench.peers().length, 1)
      })
    }

    it('POST that was sent is not sent twice', async () => {
      const { client, server } = await begin(post(['Content-Length: 2'], 'hi'))
      await server.until('hi')
      server.socket.resetAndDestroy()
      await client.until(/^HTTP\/1\.1 502 /)
      assert.equal(bench.peers().length, 1)
      client.socket.destroy()
    })

    it('a reply cut short by a reset is cut short for the client', async () => {
      const { client, server } = await begin(get())
      server.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n')
      await client.until('some')
      server.socket.resetAndDestroy()
      await client.closed()
      assert.ok(!client.text.includes('0\r\n\r\n'))
    })

    it('a reply until close that ends in a reset is cut short for the client', async () => {
      const { client, server } = await begin(get())
      server.send('HTTP/1.1 200 OK\r\n\r\nsome')
      await client.until('some')
      server.socket.resetAndDestroy()
      await client.closed()
      assert.ok(!client.text.endsWith('0\r\n\r\n'))
    })

    it('an HTTP/1.0 client learns of a reply cut short by a reset', async () => {
      const { client, server } = await begin('GET / HTTP/1.0\r\nHost: a.test\r\n\r\n')
      let error: NodeJS.ErrnoException | null = null
      client.socket.on('error', thrown => {
        error = thrown
      })
      server.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n')
      await client.until('some')
      server.socket.resetAndDestroy()
      await client.closed()
      // Without a length the reset is the only sign there can be.
      assert.equal((error as NodeJS.ErrnoException | null)?.code, 'ECONNRESET')
    })
  })

  describe('of pipelines', () => {
    const { begin } = useGateway()
    it('answers in order, and sends a call on only when the one before is over', async () => {
      const { client, server } = await begin(get('X: first') + get('X: second'))
      assert.ok(!server.text.includes('second'))
      server.send('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none')
      await server.until('second')
      server.send('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo')
      await client.until(/one[^]*two$/)
      client.socket.destroy()
    })

    it('a hostile call waits for the answer of the one before', async () => {
      const { client, server } = await begin(`${get()}GET / HTTP/1.1\nHost: a.test\r\n\r\n`)
      assert.equal(client.text, '')
      server.send(okReply)
      await client.closed()
      assert.match(client.text, /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nokHTTP\/1\.1 400 /)
    })
  })

  describe('of who one claims to be', () => {
    const { begin } = useGateway()
    it('forwarding fields of a stranger are dropped, however they are spelled', async () => {
      const names = [
        'X-Forwarded-For',
        'x-forwarded-host',
        'X-FORWARDED-PROTO',
        'Forwarded',
        'X-Real-IP',
        'X_Forwarded_For',
        'x-Forwarded_for',
      ]
      const { client, server } = await begin(get(...names.map(name => `${name}: evil`), 'Via: 1.1 kept'))
      assert.ok(!server.text.includes('evil'), server.text)
      assert.match(server.text, /\r\nx-forwarded-for: 127\.0\.0\.1\r\n/i)
      server.send(okReply)
      await client.until('ok')
      client.socket.destroy()
    })

    for (const token of ['h2c', 'TLS/1.0', 'websocket, h2c', 'x']) {
      it(`an upgrade to ${token} is ignored (RFC 9110 §7.8): the upstream is not asked for it`, async () => {
        const lines = [
          'Connection: Upgrade, HTTP2-Settings',
          `Upgrade: ${token}`,
          'HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA',
        ]
        const { client, server } = await begin(get(...lines))
        assert.doesNotMatch(server.text, /upgrade|http2-settings|h2c/i)
        server.send(okReply)
        await client.until(/^HTTP\/1\.1 200 [^]*ok$/)
        client.socket.destroy()
      })
    }

    it('an upgrade with a body is ignored: the body would run into the tunnel', async () => {
      const { client, server } = await begin(
        post(['Connection: Upgrade', 'Upgrade: websocket', 'Content-Length: 5'], 'he'),
      )
      assert.doesNotMatch(server.text, /upgrade/i)
      server.send('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n')
      await client.until(/^HTTP\/1\.1 502 /)
      await client.closed()
    })

    it('a 101 without the upgrade that was asked for opens no tunnel', async () => {
      const { client, server } = await begin(get('Connection: Upgrade'))
      server.send('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n')
      await client.until(/^HTTP\/1\.1 502 /)
      await server.closed()
      client.socket.destroy()
    })

    it('a 200 in answer to an upgrade opens no tunnel: what follows is the next call', async () => {
      const handshake = get(
        'Connection: Upgrade',
        'Upgrade: websocket',
        'Sec-WebSocket-Key: x',
        'Sec-WebSocket-Version: 13',
      )
      const { client, server } = await begin(handshake)
      server.send(okReply)
      await client.until(/^HTTP\/1\.1 200 [^]*ok$/)
      client.send('GET / HTTP/1.1\nHost: a.test\r\n\r\n')
      await client.until(/HTTP\/1\.1 400 /)
      await client.closed()
    })
  })
})
