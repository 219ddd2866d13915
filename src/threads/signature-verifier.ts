// What the signatures of a credential in the config are checked with.

import type { CredentialBlueprint } from '../core/consumer-schema.ts'
import { KeyRefused, registerPublicKey, registerSecret } from '../identity/signing-key.ts'

type SignatureBlueprint = Extract<CredentialBlueprint, { readonly kind: 'signature' }>['with']

/** `fileText` gives the text of a file that the config names. @throws KeyRefused */
export function signatureVerifier(
  { secret, secretEncoding, publicKey, algorithm }: SignatureBlueprint,
  fileText: (path: string) => string,
): string {
  if (secret === null) return registerPublicKey(fileText(publicKey ?? ''), algorithm)
  if (algorithm === null || algorithm === 'hmac-sha256') return registerSecret(secret, secretEncoding)
  throw new KeyRefused(
    `the algorithm \`${algorithm}\` is not for secrets`,
    'Leave `algorithm` out, or give a `publicKey`.',
  )
}
