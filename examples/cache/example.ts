// Replies that are kept, compressed and purged.

import type { Example } from '../example.ts'

const url = 'http://localhost:8080/products/7'
const status = `curl -s -o /dev/null -w '%header{cache-status}\\n'`

export const example: Example = {
  title: 'a cache in front of a catalog',
  config: 'examples/cache/turnpike.yaml',
  services: [{ name: 'catalog', file: 'examples/cache/catalog.ts', port: 9001 }],
  ports: [8080, 9080],
  calls: [
    {
      title: 'Asked of the service, and kept by the worker that got the call.',
      command: `${status} ${url}`,
      expect: /^turnpike; fwd=uri-miss; fwd-status=200; stored\n$/,
    },
    {
      title: 'Five calls on one connection, so of one worker: four of them are hits at least.',
      command: `${status} '${url}?utm_source=[1-5]'`,
      expect: /^turnpike; .*\n(?:turnpike; hit; ttl=\d+\n){4}$/,
    },
    {
      title: 'Two kilobytes, compressed for those who take it, and kept compressed.',
      command: `curl -s --compressed -o /dev/null -w '%{size_download}\\n' ${url}`,
      expect: /^\d{2,3}\n$/,
    },
    {
      title: 'A change makes it worthless on every worker.',
      command: `curl -s -X PUT ${url}; ${status} ${url}`,
      expect: /"saved":true\}\nturnpike; fwd=(?:stale|uri-miss|vary-miss); fwd-status=200; stored\n$/,
    },
    {
      title: 'A purge by tag, on every worker.',
      command: 'bin/turnpike cache purge --tag products',
      expect: /^by +tag\nvalue +products\npurged +[1-9]\d*\n$/,
    },
    { title: 'Gone.', command: `${status} ${url}`, expect: /^turnpike; fwd=uri-miss; fwd-status=200; stored\n$/ },
  ],
}
