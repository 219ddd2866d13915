import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { ClientCertificate } from '../../core/call.ts'
import { neverNoted, type Identity } from '../../core/consumers.ts'
import { principal } from '../../core/principal.ts'
import { Reply } from '../../core/reply.ts'
import { type FakeWorld, fakePorts, makeCall, makeNext } from '../../../test/tools/call.ts'
import { stacked } from '../../../test/tools/stacked.ts'
import { resolveOptions } from '../../../test/tools/options.ts'
import { clientCertificate } from './client-certificate.ts'

const certificate: ClientCertificate = {
  fingerprint: 'ab'.repeat(32),
  subject: 'CN=client,O=Acme',
  issuer: 'CN=Partners CA',
  isIssuerKnown: true,
  serial: '01',
  names: ['dns:client.acme.test', 'uri:spiffe://acme/client', 'cn:client'],
  fromMs: Date.UTC(2025, 0, 1),
  toMs: Date.UTC(2027, 0, 1),
  raw: Buffer.from('der'),
  chain: [],
}

const identity: Identity = {
  consumer: { id: 'c1', name: 'acme', groups: [], labels: {}, plan: '', limits: {} },
  application: null,
  notedS: neverNoted,
  credential: {
    ...{ id: 'k1', kind: 'certificate', consumer: 'c1', application: '', lookup: '', verifier: '', hint: '' },
    ...{ scopes: ['read'], labels: {}, expiresMs: null, revokedMs: null, createdMs: 0, usedMs: null },
  },
}

function build(written: object, world: FakeWorld = {}) {
  const next = makeNext(() => Reply.empty(204))
  const ports = fakePorts({}, world)
  const options = resolveOptions(clientCertificate, written)
  const step = stacked(clientCertificate, options, ports, { route: 'r', key: 'r/0' }, next)
  return { step, next, ports }
}

const withCertificate = (changed: Partial<ClientCertificate> = {}) =>
  makeCall({ peer: { certificate: { ...certificate, ...changed } } })

describe('client-certificate', () => {
  test('401 without a certificate', async () => {
    const { step, next } = build({ unknown: 'accept' })
    const call = makeCall()
    const reply = await step(call)
    assert.equal(reply.status, 401)
    assert.equal(reply.headers.get('www-authenticate'), 'ClientCertificate realm="api"')
    assert.equal(call.refusal, 'no client certificate')
    assert.equal(next.calls.length, 0)
  })

  test('a known fingerprint leads to its consumer', async () => {
    const { step, ports } = build({}, { credentials: { [`certificate:${certificate.fingerprint}`]: identity } })
    const call = withCertificate()
    assert.equal((await step(call)).status, 204)
    const proven = call.facts.get(principal)
    assert.equal(proven?.id, 'c1')
    assert.deepEqual(proven?.scopes, ['read'])
    assert.deepEqual(ports.used, [identity])
  })

  test('names are looked up in the order of the option, and only those it lists', async () => {
    const world = { credentials: { 'certificate:cn:client': identity } }
    assert.equal((await build({}, world).step(withCertificate())).status, 401)
    assert.equal((await build({ names: ['dns', 'cn'] }, world).step(withCertificate())).status, 204)
  })

  test('401 for a stranger, unless strangers are accepted', async () => {
    assert.equal((await build({}).step(withCertificate())).status, 401)
    const call = withCertificate()
    assert.equal((await build({ unknown: 'accept' }).step(call)).status, 204)
    assert.equal(call.facts.get(principal)?.id, 'CN=Partners CA|CN=client,O=Acme')
  })

  for (const [what, changed] of [
    ['expired since the handshake', { toMs: Date.UTC(2025, 5, 1) }],
    ['not valid yet', { fromMs: Date.UTC(2026, 5, 1) }],
    ['with a date that cannot be read', { toMs: Number.NaN }],
  ] as const) {
    test(`401 for one ${what}`, async () => {
      const { step } = build({ unknown: 'accept' })
      assert.equal((await step(withCertificate(changed))).status, 401)
    })
  }

  test('401 for an issuer that is not listed', async () => {
    const { step } = build({ unknown: 'accept', issuers: ['CN=Other CA'] })
    assert.equal((await step(withCertificate())).status, 401)
    const listed = build({ unknown: 'accept', issuers: ['CN=Partners CA'] })
    // Anybody could take a name that does not stand in `clientCa`.
    assert.equal((await listed.step(withCertificate({ isIssuerKnown: false }))).status, 401)
    assert.equal((await listed.step(withCertificate())).status, 204)
  })

  test('Client-Cert is written by the gateway alone', async () => {
    for (const clientCertHeader of [true, false]) {
      const { step, next } = build({ unknown: 'accept', clientCertHeader })
      const call = withCertificate()
      call.headers.add('Client-Cert', ':Zm9yZ2Vk:')
      call.headers.add('Client-Cert-Chain', ':Zm9yZ2Vk:')
      await step(call)
      assert.deepEqual(next.calls[0]?.headers.all('client-cert'), clientCertHeader ? [':ZGVy:'] : [])
      assert.deepEqual(next.calls[0]?.headers.all('client-cert-chain'), [])
    }
  })

  test('what came with the certificate goes on as a list, in its order', async () => {
    const chain = [Buffer.from('intermediate'), Buffer.from('upper')]
    for (const clientCertHeader of [true, false]) {
      const { step, next } = build({ unknown: 'accept', clientCertHeader })
      const call = withCertificate({ chain })
      call.headers.add('Client-Cert-Chain', ':Zm9yZ2Vk:')
      await step(call)
      const expected = clientCertHeader ? [':aW50ZXJtZWRpYXRl:, :dXBwZXI=:'] : []
      assert.deepEqual(next.calls[0]?.headers.all('client-cert-chain'), expected)
    }
  })

  test('parts of the certificate go on as header fields', async () => {
    const { step, next } = build({ unknown: 'accept', forward: { 'X-Subject': 'claims.subject' } })
    const call = withCertificate()
    call.headers.add('x_subject', 'forged')
    await step(call)
    assert.deepEqual([...(next.calls[0]?.headers ?? [])].slice(1), [['X-Subject', 'CN=client,O=Acme']])
  })
})
