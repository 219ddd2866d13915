// Whatever body the admin API is sent, it answers what is wrong with it and goes on.

import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { ask } from '../tools/ask.ts'
import { Program } from '../tools/program.ts'

const routes = [{ match: { path: '/' }, reply: { status: 204 } }]

/** Bodies that are taken, by what they are sent to. */
function taken(app: string, key: string): [method: string, path: string, body: object][] {
  const texts = { groups: ['a'], labels: { city: 'Ulm' }, plan: '', limits: { calls: '5/s' } }
  const frame = { consumer: 'acme', app: '', scopes: ['read'], labels: { a: 'b' }, expires: '2099-01-01' }
  return [
    ['POST', '/consumers', { name: 'one', ...texts }],
    ['PATCH', '/consumers/acme', texts],
    ['POST', '/apps', { consumer: 'acme', name: 'shop', labels: {} }],
    ['PATCH', `/apps/${app}`, { name: 'other', labels: {} }],
    ['POST', '/plans', { name: 'silver', limits: { calls: '5/s' } }],
    ['PATCH', '/plans/gold', { limits: { calls: '5/s' } }],
    ['POST', '/denials/address', { value: '10.0.0.0/8', note: '' }],
    ['POST', '/denials/agent', { value: 'x', note: '' }],
    ['POST', '/keys', frame],
    ['PATCH', `/keys/${key}`, { scopes: ['read'], labels: {}, expires: null }],
    ['POST', `/keys/${key}/rotate`, { overlap: '1h', expires: '2099-01-01' }],
    ['POST', '/credentials', { ...frame, signature: { keyId: 'k', publicKey: publicKey() } }],
    ['POST', '/credentials', { ...frame, certificate: 'dns:a.test' }],
  ]
}

function publicKey(): string {
  return generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' })
}

const odd = fc.oneof(
  fc.jsonValue(),
  fc.constantFrom(
    '',
    '\u0000',
    '\ud800',
    '__proto__',
    'constructor',
    'config:1',
    'x'.repeat(3000),
    -1,
    1e308,
    '1e999d',
  ),
  fc.constantFrom('+275760-09-13T00:00:00.001Z', '0000-00-00', '999999999d', '9'.repeat(400), '1/0s', '0/s', '5/s/s'),
)

test('no body makes the admin server fail, and what is not asked for is refused', { timeout: 120_000 }, async () => {
  await using program = await Program.start({ data: 'state', routes })
  const send = async (method: string, path: string, body: string) =>
    ask(program.adminPort, { method, path, body, headers: { 'content-type': 'application/json' } })
  const make = async (path: string, body: object) => {
    const { status, text } = await send('POST', path, JSON.stringify(body))
    assert.equal(status, 201, text)
    return String((JSON.parse(text) as { id?: string }).id)
  }
  await make('/consumers', { name: 'acme' })
  await make('/plans', { name: 'gold' })
  const app = await make('/apps', { consumer: 'acme', name: 'first' })
  const key = await make('/keys', { consumer: 'acme' })
  const bodies = taken(app, key)
  for (const [method, path, body] of bodies) {
    const { status, text } = await send(method, path, JSON.stringify(body))
    assert.ok(status === 200 || status === 201, `${method} ${path}: ${text}`)
  }
  const cases = fc.constantFrom(...bodies)

  const member = fc.tuple(cases, fc.nat(), odd, fc.boolean()).map(([[method, path, body], at, value, isNested]) => {
    const names = Object.keys(body)
    const name = names[at % names.length] ?? ''
    return [method, path, JSON.stringify({ ...body, [name]: isNested ? { x: value, y: [value] } : value })] as const
  })
  await fc.assert(
    fc.asyncProperty(member, async ([method, path, body]) => {
      const { status, text } = await send(method, path, body)
      assert.ok([200, 201, 400, 404, 409].includes(status), `${status} ${text}`)
      JSON.parse(text)
    }),
    { numRuns: 500 },
  )
  const added = fc
    .tuple(cases, fc.string(), odd)
    .filter(([[, , body], name]) => !(name in body) && name !== '__proto__')
  await fc.assert(
    fc.asyncProperty(added, async ([[method, path, body], name, value]) => {
      const { status, text } = await send(method, path, JSON.stringify({ ...body, [name]: value }))
      assert.equal(status, 400, text)
    }),
    { numRuns: 150 },
  )
  const broken = fc.oneof(fc.string(), fc.json()).filter(text => text.trim() !== '' && !/^\s*\{/.test(text))
  await fc.assert(
    fc.asyncProperty(cases, broken, async ([method, path], body) => {
      assert.equal((await send(method, path, body)).status, 400, body)
    }),
    { numRuns: 150 },
  )
  for (const [open, close, depth] of [
    ['[', ']', 30_000],
    ['{"labels":', '}', 5_000],
    ['{"labels":', '}', 33],
  ] as const) {
    const { status, text } = await send('POST', '/consumers', `${open.repeat(depth)}1${close.repeat(depth)}`)
    assert.equal(status, 400, text)
  }
  assert.ok(!program.stderr.includes('failed to answer'), program.stderr)
  assert.equal((await ask(program.adminPort, { path: '/healthz' })).status, 200)
})
