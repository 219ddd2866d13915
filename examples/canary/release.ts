// A service of which two releases run at once; each says which one it is, and counts the copies of calls that it was sent.

import process from 'node:process'
import { sendJson, serve } from '../http.ts'

const release = process.argv[2] === '9001' ? '1.4' : '1.5'
let copies = 0

serve(`release ${release}`, {
  'GET /hello': ({ request, response }) => {
    if (request.headers['x-turnpike-mirrored'] === 'true') copies++
    sendJson(response, 200, { release })
  },
  'GET /seen': ({ response }) => sendJson(response, 200, { release, copies }),
})
