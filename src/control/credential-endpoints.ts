// The endpoints of credentials: keys, and under /credentials those of every kind. A key is shown once, in the reply that makes it.

import {
  certificateText,
  expiresSchema,
  labelsSchema,
  publicAlgorithmSchema,
  scopesSchema,
  userSchema,
} from '../core/consumer-schema.ts'
import type { Credential, CredentialDraft, CredentialPatch } from '../core/consumers.ts'
import { Duration, Fields, type Static, type TSchema, Type } from '../core/schema.ts'
import { BodyRefused, readBody } from './body.ts'
import { kinds, pageOf, shownCredential, shownPage } from './credential-view.ts'
import { type AdminRequest, type Answer, type Endpoint, json, problem } from './endpoint.ts'
import type { Management } from './management.ts'

const frame = {
  consumer: Type.String({ minLength: 1, maxLength: 256, description: 'Name or id of the consumer.' }),
  app: Type.String({ default: '', maxLength: 256, description: 'Id of the application; empty for none.' }),
  scopes: scopesSchema,
  labels: labelsSchema,
  expires: expiresSchema,
}
const keyBody = Fields(frame)
const others: Readonly<Record<string, TSchema>> = {
  basic: Fields({ user: userSchema, password: Type.String({ minLength: 8, maxLength: 1024 }) }),
  signature: Fields({
    keyId: Type.String({
      pattern: '^[!#-\\[\\]-~]{1,128}$',
      description: 'Printable ASCII without spaces and quotes.',
    }),
    publicKey: Type.String({ minLength: 1, maxLength: 16_384, description: 'The public key as PEM.' }),
    algorithm: publicAlgorithmSchema,
  }),
  certificate: certificateText,
}
const otherBody: TSchema = {
  ...Fields(frame),
  variants: { noun: 'a credential', lack: 'names no credential', of: others, into: ['kind', 'with'] },
}
type OtherBody = Static<typeof keyBody> &
  (
    | { readonly kind: 'basic'; readonly with: { readonly user: string; readonly password: string } }
    | {
        readonly kind: 'signature'
        readonly with: { readonly keyId: string; readonly publicKey: string; readonly algorithm: string | null }
      }
    | { readonly kind: 'certificate'; readonly with: string }
  )
const patchBody = Fields({
  scopes: Type.Optional(Type.Array(Type.String({ pattern: '^[!#-\\[\\]-~]{1,128}$' }), { maxItems: 256 })),
  labels: Type.Optional(
    Type.Unsafe<Record<string, string>>({ type: 'object', additionalProperties: { type: 'string', maxLength: 1024 } }),
  ),
  expires: Type.Optional(Type.Unsafe<number | null>({ anyOf: [{ type: 'string', format: 'time' }, { type: 'null' }] })),
})
const rotateBody = Fields({
  overlap: Duration({ default: '0s', description: 'How long the old one stays valid.' }),
  expires: expiresSchema,
})

type Run = (request: AdminRequest, management: Management) => Promise<Answer>

function managed(method: Endpoint['method'], path: RegExp, run: Run): Endpoint {
  return { method, path, isManagement: true, answer: (request, _view, management) => run(request, management) }
}

const single = /^\/(?:keys|credentials)\/([^/]{1,300})$/

export const credentialEndpoints: readonly Endpoint[] = [
  managed('GET', /^\/(keys|credentials)$/, list),
  managed('POST', /^\/keys$/, createKey),
  managed('POST', /^\/credentials$/, createOther),
  managed('GET', single, async ({ parameters: [id = ''] }, { store, wall }) => {
    const credential = await store.credential(id)
    if (credential === null) return problem(404, `there is no credential \`${id}\``)
    return json(200, shownCredential(credential, wall()))
  }),
  managed('PATCH', single, async ({ parameters: [id = ''], body }, { store, wall }) => {
    const { expires, ...rest } = readBody(body, patchBody)
    const patch: CredentialPatch = { ...rest, ...(expires !== undefined && { expiresMs: expires }) }
    return json(200, shownCredential(await store.updateCredential(id, patch), wall()))
  }),
  managed('DELETE', single, async ({ parameters: [id = ''] }, { store }) => {
    await store.removeCredential(id)
    return json(200, { removed: id })
  }),
  managed(
    'POST',
    /^\/(?:keys|credentials)\/([^/]{1,300})\/revoke$/,
    async ({ parameters: [id = ''] }, { store, wall }) =>
      json(200, shownCredential(await store.revokeCredential(id), wall())),
  ),
  managed('POST', /^\/keys\/([^/]{1,300})\/rotate$/, rotate),
]

async function list({ parameters: [path], query }: AdminRequest, { store, wall }: Management): Promise<Answer> {
  const kind = path === 'keys' ? 'key' : kinds.find(known => known === query.get('kind'))
  const [consumer, application] = [query.get('consumer'), query.get('app')]
  const filter = {
    ...(kind !== undefined && { kind }),
    ...(consumer !== null && { consumer }),
    ...(application !== null && { application }),
  }
  const nowMs = wall()
  return json(
    200,
    shownPage(await store.credentials(filter, pageOf(query)), item => shownCredential(item, nowMs)),
  )
}

async function createKey({ body }: AdminRequest, management: Management): Promise<Answer> {
  const { store, wall } = management
  const given = readBody(body, keyBody)
  refusePast(given.expires, wall())
  const made = management.makeKey()
  const draft = draftOf(given, { kind: 'key', lookup: made.lookup, verifier: '', hint: made.hint })
  const [credential] = await store.createCredentials([draft])
  return json(201, { ...shown(credential, wall()), key: made.text })
}

async function createOther({ body }: AdminRequest, management: Management): Promise<Answer> {
  // The schema has variants, whose result the type spells out.
  const given = readBody(body, otherBody) as OtherBody
  refusePast(given.expires, management.wall())
  const [credential] = await management.store.createCredentials([draftOf(given, await proofOf(given, management))])
  return json(201, shown(credential, management.wall()))
}

async function proofOf(given: OtherBody, management: Management): Promise<Proof> {
  switch (given.kind) {
    case 'basic': {
      const { user, password } = given.with
      return { kind: 'basic', lookup: user, verifier: await management.hashPassword(password), hint: '' }
    }
    case 'signature': {
      const { keyId, publicKey, algorithm } = given.with
      const made = management.publicKey(publicKey, algorithm)
      if ('verifier' in made) return { kind: 'signature', lookup: keyId, ...made }
      throw new BodyRefused([{ member: 'signature.publicKey', message: made.refusal, hint: made.mend }])
    }
    default:
      return { kind: 'certificate', lookup: given.with, verifier: '', hint: '' }
  }
}

async function rotate({ parameters: [id = ''], body }: AdminRequest, management: Management): Promise<Answer> {
  const { store, wall } = management
  const { overlap, expires } = readBody(body, rotateBody)
  refusePast(expires, wall())
  const old = await store.credential(id)
  if (old === null || old.kind !== 'key') return problem(404, `there is no key \`${id}\``)
  const made = management.makeKey()
  const nowMs = wall()
  // It lives as long as the old one was given, unless the request says how long.
  const expiresMs = expires ?? (old.expiresMs === null ? null : nowMs + (old.expiresMs - old.createdMs))
  const successor = { lookup: made.lookup, verifier: '', hint: made.hint, expiresMs }
  const created = await store.rotateCredential(id, successor, nowMs + overlap)
  const previous = await store.credential(id)
  return json(201, {
    ...shownCredential(created, nowMs),
    key: made.text,
    previous: previous === null ? null : shownCredential(previous, nowMs),
  })
}

/** What is made new cannot have expired: a slip of the pen would hand out a key that opens nothing. */
function refusePast(expiresMs: number | null, nowMs: number): void {
  if (expiresMs === null || expiresMs > nowMs) return
  const hint = 'Write a time to come, or leave it out.'
  throw new BodyRefused([{ member: 'expires', message: 'this time has passed', hint }])
}

type Proof = Pick<CredentialDraft, 'kind' | 'lookup' | 'verifier' | 'hint'>

function draftOf({ consumer, app, scopes, labels, expires }: Static<typeof keyBody>, proof: Proof): CredentialDraft {
  return { ...proof, consumer, application: app, scopes, labels, expiresMs: expires }
}

function shown(credential: Credential | undefined, nowMs: number) {
  if (credential === undefined) throw new Error('the store created nothing')
  return shownCredential(credential, nowMs)
}
