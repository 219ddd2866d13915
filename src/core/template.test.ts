import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { Body } from './body.ts'
import { Call } from './call.ts'
import { defineFact } from './facts.ts'
import { Failure } from './failure.ts'
import { Headers } from './headers.ts'
import { compilePattern } from './pattern.ts'
import { OptionsError } from './policy.ts'
import { compileTemplate } from './template.ts'

interface Given {
  readonly target?: string
  readonly pattern?: string
  readonly headers?: Record<string, string>
  readonly fact?: unknown
}

function makeCall({ target = '/', pattern = '/**', headers = {}, fact }: Given = {}): Call {
  const question = target.indexOf('?')
  const call = new Call({
    method: 'GET',
    target,
    path: '/',
    query: question < 0 ? '' : target.slice(question),
    host: 'api.acme.test',
    headers: Headers.of(headers),
    body: Body.empty,
    peer: {
      address: '192.0.2.1',
      port: 1,
      local: { address: '192.0.2.9', port: 8080 },
      isTrusted: false,
      scheme: 'https',
      listener: '443',
      certificate: null,
    },
    startedMs: 0,
  })
  call.pattern = compilePattern(pattern)
  call.id = 'id-1'
  call.route = 'users'
  if (fact !== undefined) call.facts.set(defineFact('principal'), fact)
  return call
}

const users: Given = { target: '/users/7/a/b?q=1', pattern: '/users/{id}/**' }

describe('renders', () => {
  const cases: readonly (readonly [template: string, given: Given, text: string])[] = [
    ['', {}, ''],
    ['constant', {}, 'constant'],
    ['{{x}} {{{{', {}, '{x} {{'],
    ['{{{host}}}', {}, '{api.acme.test}'],
    ['{id}:{rest}', users, '7:a/b'],
    ['{method} {scheme}://{host}{path}', users, 'GET https://api.acme.test/users/7/a/b'],
    ['{client.address} {call.id} {route}', users, '192.0.2.1 id-1 users'],
    ['[{query.q}{query.none}]', users, '[1]'],
    ['[{cookie.id}{cookie.none}]', { headers: { cookie: 'a=b; id=7' } }, '[7]'],
    ['{query.a b}', { target: '/?a+b=c%2Bd' }, 'c+d'],
    ['{header.X-Tenant}', { headers: { 'x-tenant': 'blue' } }, 'blue'],
    ['<{header.none}{fact.none}{missing}>', {}, '<>'],
    ['{fact.principal}', { fact: 'me' }, 'me'],
    ['{fact.principal.id}-{fact.principal.is.ok}', { fact: { id: 7, is: { ok: true } } }, '7-true'],
    ['{fact.principal}{fact.principal.list}', { fact: { list: [1] } }, ''],
    ['{fact.principal.constructor}{fact.principal.a.b}', { fact: { a: null } }, ''],
  ]
  for (const [template, given, text] of cases) {
    test(template, () => assert.equal(compileTemplate(template).render(makeCall(given)), text))
  }
})

test('reads path and parameters as received, also after the target was rewritten', () => {
  const call = makeCall(users)
  call.target = '/v2/x'
  assert.equal(compileTemplate('{id} {path}').render(call), '7 /users/7/a/b')
})

test('names the parameters that it needs, once', () => {
  assert.deepEqual(compileTemplate('{id}{rest}{id}{host}{query.q}').paramNames, ['id', 'rest'])
  assert.equal(compileTemplate('{id}').isConstant, false)
  assert.equal(compileTemplate('{{id}}').isConstant, true)
})

describe('as a header value', () => {
  const cases: readonly (readonly [name: string, template: string, given: Given, text: string])[] = [
    ['line breaks of a query become spaces', '{query.a}', { target: '/?a=x%0D%0Ay:%00z' }, 'x  y: z'],
    ['text becomes UTF-8 octets', '{query.a}', { target: '/?a=%E6%97%A5' }, '\u00e6\u0097\u00a5'],
    [
      'a character that ends in the octet of a line feed too',
      '{fact.principal}',
      { fact: '\u010a\u0a0d' },
      'Ä\u008aà¨\u008d',
    ],
    ['literal text too', 'é', {}, 'Ã©'],
    ['octets of a field stay', '{header.a}', { headers: { a: '\u00e9\t' } }, '\u00e9\t'],
    ['unless they are none', '{header.a}', { headers: { a: '\u0100\r' } }, 'Ä\u0080 '],
  ]
  for (const [name, template, given, text] of cases) {
    test(name, () => assert.equal(compileTemplate(template).render(makeCall(given)), text))
  }

  test('no value makes a control character or more than one octet per character', () => {
    const template = compileTemplate('a{fact.principal}{query.q}{header.h}')
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (a, b) => {
        const given = { fact: a, target: `/?q=${encodeURIComponent(b)}`, headers: { h: a + b } }
        assert.match(template.render(makeCall(given)), /^[\t -~\u0080-\u00ff]*$/)
      }),
    )
  })
})

describe('as a target', () => {
  const cases: readonly (readonly [template: string, given: Given, target: string])[] = [
    ['/v2/{rest}', users, '/v2/a/b'],
    ['/v2/{rest}', { target: '/a%20b/%C3%A9' }, '/v2/a%20b/%C3%A9'],
    ['/x/{query.q}', { target: '/?q=a/../b?c%23d%26' }, '/x/a%2F..%2Fb%3Fc%23d%26'],
    ['/x/{header.h}', { headers: { h: 'a b\u00e9\r\n' } }, '/x/a%20b%E9%0D%0A'],
    ['/x/{fact.principal.id}', { fact: { id: 'é/\ud800' } }, '/x/%C3%A9%2F%EF%BF%BD'],
    ['/x?a={id}&b={query.q}', { target: '/u=1&c;d+?q=%262', pattern: '/{id}' }, '/x?a=u%3D1%26c%3Bd%2B&b=%262'],
    ['/café x', {}, '/caf%C3%A9%20x'],
    ['/{rest}', { target: '/a//evil.test', pattern: '/a/**' }, '/evil.test'],
    ['{path}', { target: '//evil.test' }, '/evil.test'],
    ['/{query.a}/evil.test', {}, '/evil.test'],
    ['https://acme.test/{rest}', users, 'https://acme.test/a/b'],
    ['{scheme}://{host}{path}', users, 'https://api.acme.test/users/7/a/b'],
    ['https://{id}.acme.test{path}', { target: '/blue', pattern: '/{id}' }, 'https://blue.acme.test/blue'],
    ['https://{fact.principal}', { fact: 'eu.acme.test' }, 'https://eu.acme.test'],
  ]
  for (const [template, given, target] of cases) {
    test(`${template} of ${JSON.stringify(given)}`, () => {
      assert.equal(compileTemplate(template).renderTarget(makeCall(given)), target)
    })
  }

  const unsafe: readonly (readonly [template: string, given: Given])[] = [
    ['/files/{query.f}', { target: '/?f=..' }],
    ['/files/{query.f}/x', { target: '/?f=.' }],
    ['/files/{header.f}', { headers: { f: '..' } }],
    ['https://{query.h}.acme.test/', { target: '/?h=evil.test/' }],
    ['https://{id}.acme.test/', { target: '/evil.test%2F', pattern: '/{id}' }],
    ['https://{id}.acme.test/', { target: '/evil.test:80@', pattern: '/{id}' }],
    ['{header.x-proto}://{host}/', { headers: { 'x-proto': 'https://evil.test/' } }],
  ]
  for (const [template, given] of unsafe) {
    test(`${template} refuses ${JSON.stringify(given)}`, () => {
      assert.throws(
        () => compileTemplate(template).renderTarget(makeCall(given)),
        (thrown: unknown) => thrown instanceof Failure && thrown.code === 'unsafe-path',
      )
    })
  }

  test('no value leaves its segment', () => {
    const template = compileTemplate('/a/x{query.q}{header.h}/b?c={fact.principal}')
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), value => {
        const given = { fact: value, target: `/?q=${encodeURIComponent(value)}`, headers: { h: value } }
        assert.match(template.renderTarget(makeCall(given)), /^\/a\/x[\w.~!'()*%-]*\/b\?c=[\w.~!'()*%-]*$/)
      }),
    )
  })
})

describe('refuses', () => {
  const bad: readonly (readonly [template: string, message: RegExp])[] = [
    ['{', /stray `\{`/],
    ['a}b', /stray `\}`/],
    ['{a{b}', /stray/],
    ['{}', /unknown placeholder/],
    ['{query}', /unknown placeholder `\{query\}`/],
    ['{cookie.a b}', /unknown placeholder/],
    ['{query.}', /unknown placeholder/],
    ['{header.}', /unknown placeholder/],
    ['{header.a b}', /unknown placeholder/],
    ['{fact.a..b}', /unknown placeholder/],
    ['{client.port}', /unknown placeholder/],
    ['{client}', /unknown placeholder/],
    ['{ id }', /unknown placeholder/],
    ['{constructor.x}', /unknown placeholder/],
    ['a\r\nb', /line break/],
    ['https://acme.test{rest}', /ends the host/],
    ['https://{header.x-host}/', /ends the host/],
    ['https://{cookie.host}/', /ends the host/],
    ['{scheme}://{query.h}{path}', /ends the host/],
  ]
  for (const [template, message] of bad) {
    test(JSON.stringify(template), () => {
      assert.throws(
        () => compileTemplate(template),
        (thrown: unknown) => thrown instanceof OptionsError && message.test(thrown.message) && thrown.hint !== '',
      )
    })
  }
})
