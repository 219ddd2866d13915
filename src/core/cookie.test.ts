import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cookieOf } from './cookie.ts'
import { Headers } from './headers.ts'

const read = (cookie: string) => cookieOf(Headers.of({ cookie }), '__Host-session')

test('spaces and tabs around a name and a value are nothing', () => {
  for (const text of ['__Host-session=a', 'x=y; __Host-session=a', ' __Host-session\t= a ;z', '=x;__Host-session=a']) {
    assert.equal(read(text), 'a')
  }
})

test('a name behind a blank that browsers take for a character is another name, so that no neighbour can plant it', () => {
  for (const blank of ['\u00a0', '\u0085', '\u000b', '\u000c', '\ufeff', '\u2000', '\u3000']) {
    assert.equal(read(`${blank}__Host-session=planted`), undefined)
    assert.equal(read(`__Host-session${blank}=planted; __Host-session=own`), 'own')
    assert.equal(read(`__Host-session=own${blank}`), `own${blank}`)
  }
})
