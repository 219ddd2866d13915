import assert from 'node:assert/strict'
import { test } from 'node:test'
import { XMLValidator } from 'fast-xml-parser'
import * as fc from 'fast-check'
import { fakePorts, makeCall, makeNext, ManualSource, RecordingSink } from '../../../test/tools/call.ts'
import { Failure } from '../../core/failure.ts'
import { Headers } from '../../core/headers.ts'
import { Reply } from '../../core/reply.ts'
import { bodyGuard } from './body-guard.ts'
import { scanJson } from './json.ts'
import { scanXml } from './xml.ts'

const json = { depth: 4, keys: 3, items: 3, stringBytes: 10 }
const xml = { depth: 3, attributes: 2, elements: 5 }
const wide = { depth: 1e6, keys: 1e6, items: 1e6, stringBytes: 1e6 }

async function ask(type: string, body: string, more: Record<string, string> = {}, others: 'allow' | 'deny' = 'deny') {
  const next = makeNext(async call => Reply.text(200, (await call.body.bytes(1000)).toString('utf8')))
  const step = bodyGuard.build({ max: 200, json, xml, others }, fakePorts(), { route: 'r', key: 'r/policies/0' })(next)
  const typed: [string, string][] = type === '' ? [] : [['Content-Type', type]]
  const headers = [...typed, ...Object.entries(more)]
  try {
    const reply = await step(makeCall({ method: 'POST', headers, body }))
    assert.equal(next.calls.length, reply.status === 200 ? 1 : 0)
    if (reply.status === 200) assert.equal((await reply.body.bytes(1000)).toString('utf8'), body)
    return reply.code ?? 'passed'
  } catch (thrown) {
    assert.ok(thrown instanceof Failure)
    return thrown.code
  }
}

const app = 'application/json'
const table: [type: string, body: string, code: string][] = [
  [app, ' {"a": [1, -2.5e3, true], "b": null} ', 'passed'],
  [app, '[[[[]]]]', 'passed'],
  [app, '[[[[[]]]]]', 'body-refused'],
  [app, '{"a":1,"b":2,"c":3}', 'passed'],
  [app, '{"a":1,"b":2,"c":3,"d":4}', 'body-refused'],
  [app, '[1,2,3]', 'passed'],
  [app, '[1,2,3,4]', 'body-refused'],
  [app, '"0123456789"', 'passed'],
  [app, '"0123456789a"', 'body-refused'],
  [app, '{"0123456789a":1}', 'body-refused'],
  [app, '{"a":1', 'body-refused'],
  [app, `"${'a'.repeat(300)}"`, 'body-too-large'],
  ['application/problem+json; charset=utf-8', '{}', 'passed'],
  ['application/json; charset=utf-16', '{}', 'media-type-refused'],
  ['application/json, text/plain', '{}', 'media-type-refused'],
  ['text/plain', 'hello', 'media-type-refused'],
  ['', '{}', 'media-type-refused'],
  [
    'text/xml',
    '<?xml version="1.0" encoding="UTF-8"?><a x="1" y=\'2\'><b>&amp;&#10;<![CDATA[<]]></b><!-- c --></a>',
    'passed',
  ],
  ['application/soap+xml', '<a><b><c/></b></a>', 'passed'],
  ['text/xml', '<a><b><c><d/></c></b></a>', 'body-refused'],
  ['text/xml', '<a x="1" y="2" z="3"/>', 'body-refused'],
  ['text/xml', '<a><b/><b/><b/><b/><b/></a>', 'body-refused'],
  ['text/xml', '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', 'body-refused'],
  ['text/xml', '<a>&b;</a>', 'body-refused'],
  ['text/xml', '<a x="&b;"/>', 'body-refused'],
  ['text/xml', '<a x="1" x="2"/>', 'body-refused'],
  ['text/xml', '<?xml version="1.0" encoding="utf-7"?><a/>', 'body-refused'],
  ['text/xml', '<a><b></a></b>', 'body-refused'],
  ['text/xml', '<a/><b/>', 'body-refused'],
  ['text/xml', '', 'passed'],
]
for (const [type, body, code] of table) {
  test(`${code}: ${type} ${body.slice(0, 40)}`, async () => assert.equal(await ask(type, body), code))
}

test('bodies that are compressed are refused, others pass by choice', async () => {
  assert.equal(await ask(app, '{}', { 'Content-Encoding': 'gzip' }), 'media-type-refused')
  assert.equal(await ask(app, '{}', { 'Content-Encoding': 'identity' }), 'passed')
  assert.equal(await ask('text/plain', 'hello', {}, 'allow'), 'passed')
})

test('bodies that some reader may take for JSON or XML pass by no choice', async () => {
  const types = [
    ...['application/json; charset=utf-16', 'application/xml;charset=latin1', 'application/json, text/plain'],
    ...[
      'text/plain, application/json',
      'text/plain;a=b, application/json',
      'application/json\tx',
      '"application/json"',
    ],
    ...['application / json', 'application', 'text/plain;a="b", text/json', 'text/plain;a="b'],
  ]
  for (const type of types) assert.equal(await ask(type, '[[[[[1]]]]]', {}, 'allow'), 'media-type-refused', type)
  const twice = { 'content-type': 'text/plain' }
  assert.equal(await ask('application/json', '[[[[[1]]]]]', twice, 'allow'), 'media-type-refused')
  assert.equal(await ask('multipart/form-data; boundary="a,b"', 'x', {}, 'allow'), 'passed')
  const startMs = performance.now()
  await ask(`text/plain;a=${'"\\'.repeat(50_000)}`, 'x', {}, 'allow')
  assert.ok(performance.now() - startMs < 1_000)
  assert.equal(await ask('text/plain;charset=latin1', 'x', {}, 'allow'), 'passed')
})

const isJson = (text: string) => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

const agrees = (text: string) => assert.equal(scanJson(Buffer.from(text), wide) === '', isJson(text), text)

test('JSON passes exactly where JSON.parse takes it', () => {
  fc.assert(fc.property(fc.json(), agrees))
  const pieces = [
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"',
    '"a"',
    '\\',
    '\\u00e9',
    '\\ud',
    '1',
    '-',
    '0',
    '.5',
    'e+1',
    'true',
    'null',
    ' ',
    '\n',
    '\t',
    'é',
  ]
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 12 }), list => agrees(list.join(''))),
    { numRuns: 20_000 },
  )
  const cut = fc.tuple(fc.json(), fc.nat(), fc.constantFrom(...pieces))
  fc.assert(
    fc.property(cut, ([text, at, piece]) =>
      agrees(text.slice(0, at % (text.length + 1)) + piece + text.slice((at + 1) % (text.length + 1))),
    ),
  )
})

test('trailers go on behind a good body', async () => {
  const next = makeNext(() => Reply.empty(200))
  const step = bodyGuard.build({ max: 200, json, xml, others: 'deny' }, fakePorts(), { route: 'r', key: 'r' })(next)
  const { body, source } = ManualSource.body()
  const reply = step(makeCall({ method: 'POST', headers: { 'content-type': app }, body }))
  source.push('[1]')
  source.sink?.end(Headers.of({ 'x-sum': '42' }))
  await reply
  const sink = new RecordingSink()
  next.calls[0]?.body.pipe(sink)
  assert.deepEqual([sink.text, sink.trailers?.get('x-sum')], ['[1]', '42'])
})

test('nothing that a parser of XML refuses passes, and nothing crashes', () => {
  const pieces = [
    '<a>',
    '</a>',
    '<b/>',
    '<a x="1">',
    '<!--',
    '-->',
    '<![CDATA[',
    ']]>',
    '<?',
    '<!',
    '&amp;',
    '&b;',
    'text',
    '<',
    '>',
    '"',
    ' ',
  ]
  let passed = 0
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 8 }), list => {
      const text = list.join('')
      if (scanXml(text, { depth: 9, attributes: 9, elements: 99 }) !== '') return
      passed++
      assert.equal(XMLValidator.validate(text), true, text)
    }),
    { numRuns: 20_000 },
  )
  assert.ok(passed > 0)
})
