// What a token costs: remembered, and verified for the first time. Run: node bench/micro/jwt.ts

import { generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto'
import { isSignedBy } from '../../src/identity/signature.ts'
import { jwt } from '../../src/policies/jwt/jwt.ts'
import { Reply } from '../../src/core/reply.ts'
import { fakePorts, makeCall } from '../../test/tools/call.ts'

const signed = Buffer.from('x'.repeat(600))
const count = 4000
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })

async function cold(name: string, { publicKey, privateKey }: { publicKey: KeyObject; privateKey: KeyObject }) {
  const dsaEncoding = 'ieee-p1363' as const
  const signature = sign('sha256', signed, { key: privateKey, dsaEncoding })
  let started = performance.now()
  for (let i = 0; i < count; i++) verify('sha256', signed, { key: publicKey, dsaEncoding }, signature)
  console.log(`${name} on the event loop: ${perSecond(started)}/s`)
  started = performance.now()
  const before = performance.eventLoopUtilization()
  for (let i = 0; i < count; i += 100) {
    await Promise.all(Array.from({ length: 100 }, () => isSignedBy(publicKey, name, signed, signature)))
  }
  const { utilization } = performance.eventLoopUtilization(before)
  console.log(`${name} off it: ${perSecond(started)}/s, the loop ${Math.round(utilization * 100)} % busy`)
}

const perSecond = (started: number) => Math.round((count / (performance.now() - started)) * 1000)

await cold('RS256', rsa)
await cold('ES256', ec)

const ports = fakePorts({}, { files: { k: JSON.stringify({ keys: [ec.publicKey.export({ format: 'jwk' })] }) } })
const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
const text = `${encode({ alg: 'ES256' })}.${encode({ iss: 'i', exp: 4e9, sub: 's', filler: 'x'.repeat(400) })}`
const mark = sign('sha256', Buffer.from(text), { key: ec.privateKey, dsaEncoding: 'ieee-p1363' })
const options = {
  ...{
    from: { header: 'authorization', cookie: null },
    keep: true,
    realm: 'api',
    tokenSize: 8000,
    issuer: ['i'],
    audience: [],
  },
  keys: {
    url: null,
    file: 'k',
    secret: null,
    secretEncoding: 'text' as const,
    refresh: 1,
    cooldown: 1,
    staleFor: 1,
    timeout: 1,
  },
  ...{ algorithms: [], type: null, clockSkew: 0, maxAge: null, claims: {}, scopes: [], consumer: null },
  ...{ cacheSize: 1000, forward: {} },
}
const answer = Promise.resolve(Reply.empty(204))
const step = jwt.build(options, ports, { route: '', key: '' })(() => answer)
const authorization = `Bearer ${text}.${mark.toString('base64url')}`
const calls = Array.from({ length: 200_000 }, () => makeCall({ headers: { authorization } }))
await step(calls[0] as (typeof calls)[0])
for (let round = 0; round < 3; round++) {
  const started = performance.now()
  for (const call of calls) void step(call)
  console.log(`remembered: ${Math.round(((performance.now() - started) / calls.length) * 1e6)} ns`)
}
