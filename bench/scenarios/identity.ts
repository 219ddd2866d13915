// What does it cost to know who calls, to limit and to admit them, and to log it?

import { generateKeyPairSync, sign } from 'node:crypto'
import { benchKey } from '../peers/consumers.ts'
import { nginx } from '../peers/nginx.ts'
import { turnpike } from '../peers/turnpike.ts'
import { callsScenario, plainShape, type Scenario } from '../scenario.ts'

const baseline = { label: 'nginx without policies', peer: nginx, shape: plainShape, cores: '0' }
const consumers = 100_000
const calling = 10_000

export const apiKeys: Scenario = callsScenario({
  name: 'api-keys',
  title: 'API keys, limits, access rules and the access log',
  note:
    '`api-key`, `rate-limit` by consumer, `acl` by group and the access log into a file. 100,000 consumers in the store, ' +
    '10,000 of them calling in turn. The ratio is to nginx without any of it.',
  load: { headers: { 'X-API-Key': benchKey }, variants: calling },
  candidates: [
    baseline,
    { label: 'Turnpike', peer: turnpike, shape: { ...plainShape, identity: { kind: 'key', consumers } }, cores: '0' },
  ],
  baseline: baseline.label,
  goal: { ratioMax: 1.8 },
})

const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')

const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const jwks = JSON.stringify({
  keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'bench', alg: 'ES256', use: 'sig' }],
})

export const tokens: Scenario = callsScenario({
  name: 'tokens',
  title: 'Signed tokens with a warm cache',
  note: 'As above with `jwt` (ES256) in place of the key, and one token that was seen before.',
  load: { headers: { Authorization: `Bearer ${token()}` } },
  candidates: [
    baseline,
    { label: 'Turnpike', peer: turnpike, shape: { ...plainShape, identity: { kind: 'token', jwks } }, cores: '0' },
  ],
  baseline: baseline.label,
  goal: { ratioMax: 1.8 },
})

function token(): string {
  const claims = { iss: 'https://id.acme.test', aud: 'api', sub: 'user-1', exp: 4_000_000_000, scope: 'read write' }
  const signed = `${part({ alg: 'ES256', typ: 'JWT', kid: 'bench' })}.${part(claims)}`
  const signature = sign('sha256', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' })
  return `${signed}.${signature.toString('base64url')}`
}
