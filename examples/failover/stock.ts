// A server that says its name, and that falls sick and gets well when it is told to.

import process from 'node:process'
import { Refusal, sendJson, serve } from '../http.ts'

const names: Readonly<Record<string, string>> = { 9001: 'one', 9002: 'two', 9003: 'standby' }
const name = names[process.argv[2] ?? ''] ?? 'nobody'
let isSick = false

serve(name, {
  'GET /stock': ({ response }) => {
    if (isSick) throw new Refusal(503, `${name} is not well`)
    sendJson(response, 200, { from: name })
  },
  'GET /ready': ({ response }) => sendJson(response, isSick ? 503 : 200, { sick: isSick }),
  'POST /sick': ({ response }) => {
    isSick = true
    sendJson(response, 200, { sick: isSick })
  },
  'POST /well': ({ response }) => {
    isSick = false
    sendJson(response, 200, { sick: isSick })
  },
})
