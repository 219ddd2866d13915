// A service that greets.

import { sendJson, serve } from '../http.ts'

serve('hello', {
  'GET /hello': ({ response }) => sendJson(response, 200, { hello: 'world' }),
  'GET /hello/:name': ({ response, params }) => sendJson(response, 200, { hello: params.name }),
})
