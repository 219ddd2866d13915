// A catalog that says how long its replies are fresh, and counts how often it is asked.

import { sendJson, serve } from '../http.ts'

let asked = 0

serve('catalog', {
  'GET /products/:id': ({ response, params }) => {
    response.setHeader('cache-control', 'public, max-age=60, stale-while-revalidate=30')
    response.setHeader('etag', `"product-${params.id}-v1"`)
    response.setHeader('cache-tag', `products, product-${params.id}`)
    sendJson(response, 200, { id: params.id, asked: ++asked, text: 'A long description. '.repeat(100) })
  },
  'PUT /products/:id': ({ response, params }) => {
    sendJson(response, 200, { id: params.id, saved: true })
  },
})
