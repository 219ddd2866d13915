// Targets that fall sick, and one that stands by.

import type { Example } from '../example.ts'

const make = (state: string, ...ports: number[]) =>
  ports.map(port => `curl -s -o /dev/null -X POST http://localhost:${port}/${state}`).join('; ')
const six = 'for i in 1 2 3 4 5 6; do curl -s http://localhost:8080/stock; done | sort | uniq -c | sort -k 2'
/** Until a number of targets stands so. */
const wait = (state: string, count: number) =>
  `until [ "$(curl -s http://localhost:9080/upstreams | grep -c '^        "state": "${state}"')" -ge ${count} ]; do sleep 0.2; done`

export const example: Example = {
  title: 'two servers that may fall sick, and one that stands by',
  config: 'examples/failover/turnpike.yaml',
  services: [9001, 9002, 9003].map(port => ({ name: `stock-${port}`, file: 'examples/failover/stock.ts', port })),
  ports: [8080, 9080],
  calls: [
    {
      title: 'Both servers answer, the standby rests.',
      command: six,
      expect: /^ +[1-5] .*"one"}\n +[1-5] .*"two"}\n$/,
    },
    {
      title: 'One falls sick: no call is lost.',
      command: `${make('sick', 9001)}; ${six}`,
      expect: /^ +6 .*"two"}\n$/,
    },
    {
      title: 'Both are sick: the standby answers.',
      command: `${make('sick', 9001, 9002)}; ${wait('unhealthy', 2)}; ${six}`,
      expect: /^ +6 .*"standby"}\n$/,
    },
    {
      title: 'All are sick: a fast 503.',
      command: `${make('sick', 9003)}; ${wait('unhealthy', 3)}; curl -s http://localhost:8080/stock`,
      expect: /"code":"upstream-unhealthy"/,
    },
    {
      title: 'One is well again: it gets the calls, whatever came before.',
      command: `${make('well', 9002)}; ${wait('usable', 1)}; ${six}`,
      expect: /^ +6 .*"two"}\n$/,
    },
  ],
}
