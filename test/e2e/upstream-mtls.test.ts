// A certificate of the gateway's own, shown to upstreams: who takes it, who does not, and how it is renewed on disk.

import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { authority, type Certificate, selfSigned, signedBy } from '../../examples/tls/certificate.ts'
import { ask, codeOf } from '../tools/ask.ts'
import { echo, Origin } from '../tools/origin.ts'
import { findTool } from '../../scripts/tools.ts'
import { Program } from '../tools/program.ts'
import { StrictServer } from '../tools/strict-server.ts'
import { until } from '../tools/until.ts'

const ca = authority('gateways')
const server = selfSigned(['inside.test'])
const good = signedBy(ca, ['gateway.test'])
const renewed = signedBy(ca, ['renewed.test'])
const expired = signedBy(ca, ['expired.test'], new Date(Date.now() - 60 * 86_400_000))
const stranger = signedBy(authority('strangers'), ['stranger.test'])
const expiredServer = selfSigned(['inside.test'], new Date(Date.now() - 60 * 86_400_000))

const versions = ['TLSv1.2', 'TLSv1.3'] as const
const skip = findTool('openssl') === null && 'openssl is not installed (Debian: apt-get install openssl)'
/** Servers of openssl, which say by an alert that they will not have a certificate; those of Node only close. */
const strict = new Map<string, StrictServer>()
const origins = new Map<string, Origin>()
let program: Program

const pairFiles = (name: string, { cert, key }: Certificate) => ({ [`${name}.pem`]: cert, [`${name}.key`]: key })

before(async () => {
  const demanding = { ...server, ca: ca.cert, requestCert: true, rejectUnauthorized: true }
  for (const version of versions) {
    if (skip === false) strict.set(version, await StrictServer.start(version, server, ca.cert))
    origins.set(version, await Origin.start(echo, { tls: { ...demanding, minVersion: version, maxVersion: version } }))
  }
  origins.set('expired-server', await Origin.start(echo, { tls: expiredServer }))
  const upstream = (origin: string, own: string | null) => ({
    targets: [`https://127.0.0.1:${(own === 'good' ? null : strict.get(origin))?.port ?? origins.get(origin)?.port}`],
    tls: {
      ...{ ca: origin === 'expired-server' ? 'expired-server.pem' : 'server.pem', serverName: 'inside.test' },
      ...(own !== null && { cert: `${own}.pem`, key: `${own}.key` }),
    },
  })
  const upstreams = Object.fromEntries([
    ...versions.flatMap(version => [
      ...['good', 'expired', 'stranger'].map(own => [`${own}-${version}`, upstream(version, own)]),
      [`none-${version}`, upstream(version, null)],
    ]),
    ['expired-server', upstream('expired-server', 'good')],
  ]) as Record<string, object>
  program = await Program.start(
    {
      workers: 2,
      telemetry: { accessLog: { to: '{folder}/access.log' } },
      upstreams,
      routes: Object.keys(upstreams).map(name => ({ match: { path: `/${name}` }, forward: name })),
    },
    {
      ...pairFiles('good', good),
      ...pairFiles('expired', expired),
      ...pairFiles('stranger', stranger),
      ...{ 'server.pem': server.cert, 'expired-server.pem': expiredServer.cert },
    },
  )
})
after(async () => {
  await program[Symbol.asyncDispose]()
  for (const origin of origins.values()) await origin[Symbol.asyncDispose]()
  for (const server of strict.values()) server.stop()
})

/** The detail that the access log has of the last call to a path. */
async function detailOf(target: string): Promise<string> {
  let detail: string | undefined
  await until(
    async () => {
      const lines = (await readFile(program.file('access.log'), 'utf8')).trim().split('\n').filter(Boolean)
      const entries = lines.map(line => JSON.parse(line) as { path?: string; detail?: string })
      detail = entries.findLast(entry => entry.path === target)?.detail
      return detail !== undefined
    },
    () => `the line of ${target} in the access log`,
  )
  return detail ?? ''
}

/** As openssl's alerts say it. */
const reasons = {
  expired: /alert certificate expired/,
  stranger: /alert (unknown ca|bad certificate|decrypt error)/,
  // TLS 1.2 has no alert of its own for it.
  none: /alert (certificate required|handshake failure)/,
}

for (const version of versions) {
  describe(`an upstream that demands a certificate, ${version}`, () => {
    test('is shown one, and answers', async () => {
      const got = await ask(program.port, { path: `/good-${version}` })
      assert.equal(got.status, 200)
      const [socket] = origins.get(version)?.sockets ?? []
      assert.equal((socket as TLSSocket).getPeerCertificate().subjectaltname, 'DNS:gateway.test')
    })

    for (const who of ['expired', 'stranger', 'none'] as const) {
      test(`502 upstream-tls-failed, and the log says why: ${who}`, { skip }, async () => {
        const target = `/${who}-${version}`
        const got = await ask(program.port, { path: target })
        assert.deepEqual([got.status, codeOf(got)], [502, 'upstream-tls-failed'])
        assert.match(await detailOf(target), reasons[who])
      })
    }
  })
}

test('502 for an upstream whose own certificate has expired, and the log says so', async () => {
  const got = await ask(program.port, { path: '/expired-server' })
  assert.deepEqual([got.status, codeOf(got)], [502, 'upstream-tls-failed'])
  assert.match(await detailOf('/expired-server'), /certificate has expired/)
})

test('a renewed pair on disk is shown on new connections; a broken one is refused and the old goes on', async () => {
  const target = '/good-TLSv1.3'
  const origin = origins.get('TLSv1.3')
  const shown = () =>
    new Set([...(origin?.sockets ?? [])].map(socket => (socket as TLSSocket).getPeerCertificate().subjectaltname))
  await writeFile(program.file('good.pem'), renewed.cert)
  await until(
    () => program.stderr.includes('cannot be used: '),
    () => 'a line about the pair that does not fit',
  )
  await program.untilSaid(/good\.pem with the key .*good\.key cannot be used: .*key values mismatch/)
  assert.equal((await ask(program.port, { path: target })).status, 200)
  await writeFile(program.file('good.key'), renewed.key)
  await until(
    async () => {
      assert.equal((await ask(program.port, { path: target })).status, 200)
      return shown().has('DNS:renewed.test')
    },
    () => 'the renewed certificate',
  )
})
