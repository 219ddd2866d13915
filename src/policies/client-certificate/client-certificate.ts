// The policy `client-certificate`: takes the certificate of the TLS handshake as proof of who calls.

import type { Call, ClientCertificate } from '../../core/call.ts'
import type { Identities, Identity, Soon } from '../../core/consumers.ts'
import { definePolicy } from '../../core/policy.ts'
import { type Principal, principal } from '../../core/principal.ts'
import { Choice, Fields, Type } from '../../core/schema.ts'
import { compileForwardFields, forwardOption } from '../../identity/forward-fields.ts'
import { challengeOf, refuseUnauthenticated } from '../../identity/refuse.ts'

/** Not registered: no scheme of RFC 9110 names what happens below HTTP, but a 401 must name one. */
const scheme = 'ClientCertificate'

export const clientCertificate = definePolicy({
  name: 'client-certificate',
  summary: 'Authenticates by the client certificate of the TLS handshake (mTLS).',
  needsClientCa: true,
  options: Fields({
    unknown: Choice(['refuse', 'accept'], {
      default: 'refuse',
      description:
        'A certificate that is good but belongs to no consumer: refuse it, or accept whoever the authority vouches for.',
    }),
    issuers: Type.Array(Type.String(), {
      default: [],
      description:
        'Distinguished names of issuers, such as `CN=Partners CA,O=Acme`; any of `clientCa` where none is written.',
    }),
    names: Type.Array(Choice(['dns', 'uri', 'email', 'cn']), {
      default: ['dns', 'uri'],
      description: 'Names of the certificate that a consumer is looked up by, after its fingerprint, in this order.',
    }),
    clientCertHeader: Type.Boolean({
      default: false,
      description:
        'Sends the certificate on in `Client-Cert`, and with `clientCa.chain` of the listener what came with it in `Client-Cert-Chain` (RFC 9440). Fields of these names from the client never pass.',
    }),
    realm: Type.String({ default: 'api', description: 'Named in `WWW-Authenticate`.' }),
    forward: forwardOption,
  }),
  gives: [principal],
  credentialFor: ({ unknown }) => (unknown === 'refuse' ? 'certificate' : null),
  owns: ({ forward }) => [...Object.keys(forward), 'Client-Cert', 'Client-Cert-Chain'],
  check: ({ forward }) => void compileForwardFields(forward),
  build({ unknown, issuers, names, clientCertHeader, realm, forward }, { identities, clock }) {
    const fields = compileForwardFields(forward)
    const challenge = challengeOf(scheme, { realm })
    const judge = (call: Call, certificate: ClientCertificate | null): certificate is ClientCertificate => {
      call.refusal = certificate === null ? 'no client certificate' : reasonAgainst(certificate, clock.wall(), issuers)
      return call.refusal === ''
    }
    return next => {
      const pass = (call: Call, certificate: ClientCertificate, identity: Identity | null) => {
        if (identity === null && unknown === 'refuse')
          return refused(call, challenge, 'the certificate belongs to nobody')
        const proven = principalOf(certificate, identity)
        if (identity !== null) identities.used(identity)
        call.facts.set(principal, proven)
        if (clientCertHeader) writeCertificate(call, certificate)
        fields.write(call, proven)
        return next(call)
      }
      return function clientCertificate(call) {
        const { certificate } = call.peer
        if (!judge(call, certificate)) {
          const reason = call.refusal
          call.refusal = ''
          return refused(call, challenge, reason)
        }
        const found = find(identities, certificate, names)
        return found instanceof Promise
          ? found.then(identity => pass(call, certificate, identity))
          : pass(call, certificate, found)
      }
    }
  },
})

/** RFC 9440 §2.2 and §2.3: a byte sequence, and a list of them, of RFC 8941. */
function writeCertificate({ headers }: Call, { raw, chain }: ClientCertificate): void {
  headers.set('Client-Cert', byteSequence(raw))
  if (chain.length > 0) headers.set('Client-Cert-Chain', chain.map(byteSequence).join(', '))
}

function byteSequence(bytes: Buffer): string {
  return `:${bytes.toString('base64')}:`
}

function refused(call: Call, challenge: string, reason: string) {
  return Promise.resolve(refuseUnauthenticated(call, challenge, reason))
}

/** The handshake judged the certificate when the connection began; one that has lasted since then may have outlived it. */
function reasonAgainst(certificate: ClientCertificate, nowMs: number, issuers: readonly string[]): string {
  const { fromMs, toMs, issuer, isIssuerKnown } = certificate
  if (!(nowMs >= fromMs && nowMs <= toMs)) return 'the client certificate is not valid now'
  if (issuers.length > 0 && !issuers.includes(issuer)) return `the issuer ${issuer} is not among those allowed`
  if (issuers.length > 0 && !isIssuerKnown)
    return `the issuer ${issuer} is not in \`clientCa\`, so its name proves nothing`
  return ''
}

/** By the fingerprint first: it names this very certificate. */
function find(identities: Identities, certificate: ClientCertificate, kinds: readonly string[]): Soon<Identity | null> {
  const wanted = kinds.flatMap(kind => certificate.names.filter(name => name.startsWith(`${kind}:`)))
  return firstOf(identities, [certificate.fingerprint, ...wanted], 0)
}

function firstOf(identities: Identities, lookups: readonly string[], index: number): Soon<Identity | null> {
  const lookup = lookups[index]
  if (lookup === undefined) return null
  const found = identities.find('certificate', lookup)
  if (found instanceof Promise) return found.then(identity => identity ?? firstOf(identities, lookups, index + 1))
  return found ?? firstOf(identities, lookups, index + 1)
}

function principalOf(certificate: ClientCertificate, identity: Identity | null): Principal {
  const { fingerprint, subject, issuer, serial, names } = certificate
  return {
    method: 'client-certificate',
    id: identity?.consumer.id ?? `${issuer}|${subject}`,
    consumer: identity?.consumer ?? null,
    application: identity?.application ?? null,
    credential: identity?.credential.id ?? '',
    scopes: identity?.credential.scopes ?? [],
    claims: { fingerprint, subject, issuer, serial, names },
  }
}
