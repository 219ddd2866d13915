import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatTexts, plainFormats } from './formats.ts'

const good: readonly (readonly [format: string, text: string, value: unknown])[] = [
  ['duration', '250ms', 250],
  ['duration', '1.5s', 1500],
  ['duration', '5m', 300_000],
  ['duration', '2h', 7_200_000],
  ['duration', '1d', 86_400_000],
  ['duration', '0s', 0],
  ['size', '512', 512],
  ['size', '512B', 512],
  ['size', '64kB', 64_000],
  ['size', '64KiB', 65_536],
  ['size', '10MB', 10_000_000],
  ['size', '1.5GB', 1_500_000_000],
  ['rate', '100/minute', { count: 100, windowMs: 60_000 }],
  ['rate', '5/s', { count: 5, windowMs: 1000 }],
  ['rate', '10/10s', { count: 10, windowMs: 10_000 }],
  ['percent', '20%', 0.2],
  ['percent', '0%', 0],
  ['percent', '100%', 1],
  ['origin', 'http://10.0.0.7:9001', 'http://10.0.0.7:9001'],
  ['origin', 'HTTPS://API.acme.test/', 'https://api.acme.test'],
  ['origin', 'http://[2001:db8::1]:80', 'http://[2001:db8::1]'],
  ['cidr', '10.0.0.0/8', '10.0.0.0/8'],
  ['cidr', '192.0.2.7', '192.0.2.7'],
  ['cidr', '2001:db8::/32', '2001:db8::/32'],
  ['hostname', 'API.Acme.test', 'api.acme.test'],
  ['hostname', '*.acme.test', '*.acme.test'],
  ['hostname', 'api.acme.test.', 'api.acme.test'],
  ['hostname', '192.0.2.7', '192.0.2.7'],
  ['hostname', '2001:DB8::1', '[2001:db8::1]'],
  ['hostname', '[::1]', '[::1]'],
]

const bad: readonly (readonly [format: string, text: string])[] = [
  ...['', '10', 's', '-1s', '1h30m', '10 seconds', '1e3s', 'ms', '5M', '999999999d'].map(
    text => ['duration', text] as const,
  ),
  ...['', 'kB', '-1', '1.5', '8k', '1 000', '10Mb/s', '99999999GB'].map(text => ['size', text] as const),
  ...['', '100', '100/', '/s', '1.5/s', '5/0s', '5/month', '5/s/s'].map(text => ['rate', text] as const),
  ...['', '20', '%', '101%', '-1%', '0.2'].map(text => ['percent', text] as const),
  ...['', 'http://', 'http://:80', 'a:80', 'http://a/b', 'http://a?', 'http://a#', 'http://u@a', 'http://a:99999'].map(
    text => ['origin', text] as const,
  ),
  ...['', '10.0.0.0/33', '10.0.0/8', '::/129', 'a', '10.0.0.0/8/8', '10.0.0.0/', 'fe80::1%eth0'].map(
    text => ['cidr', text] as const,
  ),
  ...['', '*', '*.*.test', 'a..b', '-a.test', 'a:80', 'http://a', 'a/b', 'a b', '[::1]:80', 'ä.test'].map(
    text => ['hostname', text] as const,
  ),
]

for (const [format, text, value] of good) {
  test(`${format} takes ${text}`, () => {
    assert.deepEqual(plainFormats[format]?.(text), { value })
  })
}

for (const [format, text] of bad) {
  test(`${format} refuses ${JSON.stringify(text)} with a hint`, () => {
    const outcome = plainFormats[format]?.(text)
    assert.ok(outcome !== undefined && 'hint' in outcome && outcome.hint !== '')
  })
}

test('the pattern for editors takes what the format takes', () => {
  for (const [format, text] of good) {
    const pattern = formatTexts[format]?.pattern ?? null
    const isNormal = text === text.trim() && !text.startsWith('HTTPS')
    if (pattern !== null && isNormal) assert.match(text, new RegExp(pattern), format)
  }
})
