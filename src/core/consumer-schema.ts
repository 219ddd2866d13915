// Consumers, plans and credentials as the config file and the admin API write them.

import { Choice, Fields, Maybe, Named, type Static, type TSchema, Type } from './schema.ts'

export const consumerName = (description: string) =>
  Type.String({ pattern: '^(?!con_|app_|cre_)[A-Za-z0-9_.@-]{1,128}$', description })

export const limitsSchema = Named(
  Type.String({
    pattern: '^\\d{1,15}(/(\\d{1,9}(\\.\\d{1,9})?)?(ms|s|m|h|d|second|minute|hour|day|week|month|year|period))?$',
    description: 'Write a rate such as `1000/minute`, `50000/month`, or a plain number for a limit of calls at once.',
  }),
  { default: {}, description: 'Limits by the name of the limit, such as `calls: 1000/minute`.' },
)

export const labelsSchema = Named(Type.String({ maxLength: 1024 }), {
  default: {},
  description: 'Texts of your own, by name.',
})

const words = (what: string, description: string) =>
  Type.Array(Type.String({ pattern: '^[!#-\\[\\]-~]{1,128}$', description: `${what} has no spaces and no quotes.` }), {
    default: [],
    maxItems: 256,
    description,
  })

export const groupsSchema = words('The name of a group', 'Groups that it belongs to.')
export const scopesSchema = words('A scope', 'What the credential may be used for.')

export const expiresSchema = Maybe(
  Type.Unsafe<number>({
    type: 'string',
    format: 'time',
    description:
      'Until when it is valid, such as `2027-06-30` or `2027-06-30T12:00:00Z`; for ever where it is not written.',
  }),
)

export const planSchema = Fields({ limits: limitsSchema })

const credentialFrame = Fields({
  scopes: scopesSchema,
  labels: labelsSchema,
  expires: expiresSchema,
})

export const userSchema = Type.String({
  pattern: '^[^:\\u0000-\\u001f\\u007f]{1,128}$',
  description: 'The user name; any text without `:` and control characters.',
})

export const publicAlgorithmSchema = Maybe(
  Choice(['ed25519', 'ecdsa-p256-sha256', 'ecdsa-p384-sha384', 'rsa-pss-sha512', 'rsa-v1_5-sha256'], {
    description: 'What the public key is for; what fits it where it is not written, of RSA `rsa-pss-sha512`.',
  }),
)

const keyIdText = Type.String({
  pattern: '^[!#-\\[\\]-~]{1,128}$',
  description: 'The `keyid` of its signatures; printable ASCII without spaces and quotes.',
})

export const certificateText = Type.String({
  format: 'certificate-name',
  description: 'SHA-256 fingerprint as hex, or a name in the certificate such as `dns:client.acme.test`.',
})

const kinds: Readonly<Record<string, TSchema>> = {
  key: Type.String({
    format: 'key-digest',
    description: 'The SHA-256 of the key as hex, or the key itself brought in by `${env:NAME}` or `${file:PATH}`.',
  }),
  basic: Fields({
    user: userSchema,
    password: Type.String({
      format: 'secret',
      minLength: 1,
      description: 'The password brought in by `${env:NAME}` or `${file:PATH}`, or its argon2id hash (`$argon2id$…`).',
    }),
  }),
  signature: Fields({
    keyId: keyIdText,
    secret: Maybe(
      Type.String({
        format: 'secret',
        minLength: 16,
        description: 'The secret of `hmac-sha256`, at least 32 bytes, brought in by `${env:NAME}` or `${file:PATH}`.',
      }),
    ),
    secretEncoding: Choice(['text', 'base64', 'base64url'], {
      default: 'text',
      description: 'How `secret` is written: as it is, or as base64 of its bytes.',
    }),
    publicKey: Maybe(Type.String({ format: 'file', description: 'PEM file with the public key.' })),
    algorithm: publicAlgorithmSchema,
  }),
  certificate: certificateText,
}

/** One credential of the config file: exactly one of `key`, `basic`, `signature`, `certificate`. */
const credentialSchema: TSchema = {
  ...credentialFrame,
  variants: {
    noun: 'a credential',
    lack: 'names no credential',
    of: kinds,
    into: ['kind', 'with'],
  },
}

export const consumerSchema = Fields({
  name: consumerName('Unique; letters, digits, `-`, `_`, `.` and `@`.'),
  groups: groupsSchema,
  labels: labelsSchema,
  plan: Type.String({ default: '', description: 'Name of a plan of the config; none where it is not written.' }),
  limits: limitsSchema,
  scopes: words('A scope', 'Scopes of those of its credentials that name none themselves.'),
  credentials: Type.Array(Type.Unsafe<CredentialBlueprint>(credentialSchema), {
    default: [],
    description: 'What it may present.',
  }),
})

export type PlanBlueprint = Static<typeof planSchema>
export type ConsumerBlueprint = Static<typeof consumerSchema>

export type CredentialBlueprint = Static<typeof credentialFrame> &
  (
    | { readonly kind: 'key'; readonly with: string }
    | { readonly kind: 'basic'; readonly with: { readonly user: string; readonly password: string } }
    | {
        readonly kind: 'signature'
        readonly with: {
          readonly keyId: string
          readonly secret: string | null
          readonly secretEncoding: 'text' | 'base64' | 'base64url'
          readonly publicKey: string | null
          readonly algorithm: string | null
        }
      }
    | { readonly kind: 'certificate'; readonly with: string }
  )
