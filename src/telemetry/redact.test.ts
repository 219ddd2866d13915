import assert from 'node:assert/strict'
import test from 'node:test'
import { HiddenParameters, redactQuery, redactUrl } from './redact.ts'

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
  test(`the query ${query} is logged as ${expected}`, () =>
    assert.equal(redactQuery(query, new HiddenParameters()), expected))
}

for (const [url, expected] of [
  ['https://shop.test/a?token=1#access_token=2', 'https://shop.test/a?token=[redacted]'],
  ['https://shop.test/a', 'https://shop.test/a'],
  ['https://user:pass@shop.test/a@b', 'https://shop.test/a@b'],
  ['about:blank', 'about:blank'],
] as const) {
  test(`the URL ${url} is logged as ${expected}`, () => assert.equal(redactUrl(url, new HiddenParameters()), expected))
}

test('parameters that the config reads secrets from are hidden until nothing asks for it', () => {
  const hidden = new HiddenParameters()
  const query = '?ticket=abc&page=2&TICKET=d&%74icket=e&my+door=f'
  assert.equal(redactQuery(query, hidden), query)
  const first = hidden.hide('ticket')
  const second = hidden.hide('Ticket')
  const door = hidden.hide('my door')
  const redacted = '?ticket=[redacted]&page=2&TICKET=[redacted]&%74icket=[redacted]&my+door=[redacted]'
  assert.equal(redactQuery(query, hidden), redacted)
  assert.equal(redactUrl('https://a.test/?ticket=abc', hidden), 'https://a.test/?ticket=[redacted]')
  door.close()
  first.close()
  assert.match(redactQuery(query, hidden), /^\?ticket=\[redacted\].*&my\+door=f$/)
  second.close()
  assert.equal(redactQuery(query, hidden), query)
})
