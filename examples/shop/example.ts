// The shop: three services behind one port, with rewriting, limits, CORS, a redirect and an event stream.

import type { Example } from '../example.ts'

const order = `'{"email":"ada@customers.example","lines":[{"product":"oak-desk","quantity":1}]}'`

export const example: Example = {
  title: 'the shop, three services behind the gateway',
  config: 'examples/shop/turnpike.yaml',
  services: [
    { name: 'catalog', file: 'examples/shop/catalog.ts', port: 9001 },
    { name: 'orders', file: 'examples/shop/orders.ts', port: 9002 },
    { name: 'accounts', file: 'examples/shop/accounts.ts', port: 9003 },
  ],
  ports: [8080, 9080],
  calls: [
    {
      title: 'Search the catalogue; the gateway rewrites /catalog/products to /v2/products.',
      command: `curl -s 'http://localhost:8080/catalog/products?q=oak'`,
      expect: /"total":1,.*"oak-desk"/,
    },
    {
      title: 'Place an order.',
      command: `curl -s http://localhost:8080/orders -H 'content-type: application/json' -d ${order}`,
      expect: /"status":"received"/,
    },
    {
      title: 'Watch orders as they come in, for two seconds.',
      command: 'curl -sN --max-time 2 http://localhost:8080/orders/events || true',
      expect: /event: hello\ndata: \{"orders":\d+\}/,
    },
    {
      title: 'What the service behind sees: the address of the client, a request id, and x-tenant made from the path.',
      command: 'curl -s http://localhost:8080/accounts/ada/visit',
      expect: /"forwardedFor":"127\.0\.0\.1","requestId":"[^"]+","tenant":"shop-ada"/,
    },
    {
      title: 'A statement that takes three seconds: the gateway gives up after two.',
      command: `curl -s 'http://localhost:8080/accounts/ada/statement?seconds=3'`,
      expect: /"status":504.*"code":"call-timeout"/,
    },
    {
      title: 'An order over 16 kB is refused before the service sees it.',
      command: `head -c 20000 /dev/zero | curl -s http://localhost:8080/orders -H 'content-type: application/json' --data-binary @-`,
      expect: /"status":413.*"code":"body-too-large"/,
    },
    {
      title: 'The old address still works.',
      command: `curl -sL http://localhost:8080/shop/products/brass-lamp`,
      expect: /"id":"brass-lamp"/,
    },
    {
      title: 'A page of another origin asks whether it may call.',
      command: `curl -s -o /dev/null -D - -X OPTIONS http://localhost:8080/orders -H 'Origin: https://shop.example' -H 'Access-Control-Request-Method: POST'`,
      expect: /^HTTP\/1\.1 204[^]*access-control-allow-origin: https:\/\/shop\.example/i,
    },
    {
      title: 'What the gateway measured.',
      command: 'curl -s http://localhost:9080/metrics | head -n 20',
      expect: /# (HELP|TYPE) /,
    },
  ],
}
