import assert from 'node:assert/strict'
import test from 'node:test'
import { redactQuery, redactUrl } from './redact.ts'

for (const [query, expected] of [
  ['', ''],
  ['?', '?'],
  ['?page=2&sort=name', '?page=2&sort=name'],
  ['?api_key=abc&page=2', '?api_key=[redacted]&page=2'],
  ['?page=2&access_token=abc', '?page=2&access_token=[redacted]'],
  ['?API-Key=abc', '?API-Key=[redacted]'],
  ['?apiKey=abc', '?apiKey=[redacted]'],
  ['?%61pi%5Fkey=abc', '?%61pi%5Fkey=[redacted]'],
  ['?token=a=b=c', '?token=[redacted]'],
  ['?token', '?token'],
  ['?token=', '?token=[redacted]'],
  ['?keyword=shoes&monkey=1&tokens=3', '?keyword=shoes&monkey=1&tokens=3'],
  ['?X-Amz-Signature=abc&X-Amz-Date=1', '?X-Amz-Signature=[redacted]&X-Amz-Date=1'],
  ['?%zz=1&password=p', '?%zz=1&password=[redacted]'],
  ['?a=1?token=2', '?a=1?token=2'],
] as const) {
  test(`the query ${query} is logged as ${expected}`, () => assert.equal(redactQuery(query), expected))
}

for (const [url, expected] of [
  ['https://shop.test/a?token=1#access_token=2', 'https://shop.test/a?token=[redacted]'],
  ['https://shop.test/a', 'https://shop.test/a'],
  ['https://user:pass@shop.test/a@b', 'https://shop.test/a@b'],
  ['about:blank', 'about:blank'],
] as const) {
  test(`the URL ${url} is logged as ${expected}`, () => assert.equal(redactUrl(url), expected))
}
