// The orders service: takes orders into memory and tells about them in a stream of events.

import { randomUUID } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { readJson, Refusal, sendJson, serve } from '../http.ts'

interface Line {
  readonly product: string
  readonly quantity: number
}

interface Order {
  readonly id: string
  readonly email: string
  readonly lines: readonly Line[]
  readonly status: 'received'
  readonly receivedAt: string
}

const ordersMax = 1000
const orders = new Map<string, Order>()
const listeners = new Set<ServerResponse>()
let lastEvent = 0

const server = serve('orders', {
  'GET /orders': ({ response }) => sendJson(response, 200, { orders: [...orders.values()].slice(-20) }),

  'GET /orders/events': ({ response }) => {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    response.write(`event: hello\ndata: ${JSON.stringify({ orders: orders.size })}\n\n`)
    listeners.add(response)
    response.on('close', () => listeners.delete(response))
  },

  'GET /orders/:id': ({ response, params }) => {
    const order = orders.get(params.id ?? '')
    if (order === undefined) throw new Refusal(404, `There is no order ${params.id}.`)
    sendJson(response, 200, order)
  },

  'POST /orders': async ({ request, response }) => {
    const order = readOrder(await readJson(request))
    orders.set(order.id, order)
    const [oldest] = orders.keys()
    if (orders.size > ordersMax && oldest !== undefined) orders.delete(oldest)
    publish('order', order)
    sendJson(response, 201, order, { location: `/orders/${order.id}` })
  },
})

const heartbeat = setInterval(() => {
  for (const listener of listeners) listener.write(': still here\n\n')
}, 15_000)
server.on('close', () => clearInterval(heartbeat))

function publish(event: string, data: unknown): void {
  lastEvent += 1
  const text = `id: ${lastEvent}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`
  for (const listener of listeners) listener.write(text)
}

function readOrder(value: unknown): Order {
  if (typeof value !== 'object' || value === null) throw new Refusal(422, 'An order is an object.')
  const { email, lines } = value as { email?: unknown; lines?: unknown }
  if (typeof email !== 'string' || !/^[^@\s]+@[^@\s]+$/.test(email))
    throw new Refusal(422, '`email` is not an address.')
  if (!Array.isArray(lines) || lines.length === 0) throw new Refusal(422, '`lines` needs at least one line.')
  const id = randomUUID().slice(0, 8)
  return { id, email, lines: lines.map(readLine), status: 'received', receivedAt: new Date().toISOString() }
}

function readLine(value: unknown, index: number): Line {
  const { product, quantity } = (value ?? {}) as { product?: unknown; quantity?: unknown }
  if (typeof product !== 'string' || product === '') throw new Refusal(422, `\`lines[${index}].product\` is missing.`)
  if (!Number.isInteger(quantity) || Number(quantity) < 1) {
    throw new Refusal(422, `\`lines[${index}].quantity\` is not a positive whole number.`)
  }
  return { product, quantity: Number(quantity) }
}
