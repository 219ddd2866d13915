// Encrypts what browsers keep for us (A256GCM), and splits it over cookies.

import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'

export interface Seal {
  /** `purpose` must be the same at both ends: a cookie of one use is nothing in another. */
  close(value: object, purpose: string): string
  /** Null for whatever was not closed by one of the secrets for this purpose. */
  open(text: string, purpose: string): Readonly<Record<string, unknown>> | null
}

const ivBytes = 12
const tagBytes = 16

/** The first secret closes, all of them open. `context` is what else the keys depend on, such as the client's id. */
export function createSeal(secrets: readonly string[], context: string): Seal {
  const keys = secrets.map(secret =>
    Buffer.from(hkdfSync('sha256', secret, '', `turnpike oidc ${context}`.slice(0, 1024), 32)),
  )
  const [first] = keys
  if (first === undefined) throw new Error('there is no secret')
  return {
    close(value, purpose) {
      const iv = randomBytes(ivBytes)
      const cipher = createCipheriv('aes-256-gcm', first, iv, { authTagLength: tagBytes })
      cipher.setAAD(Buffer.from(purpose))
      const text = Buffer.concat([cipher.update(JSON.stringify(value), 'utf8'), cipher.final()])
      return Buffer.concat([iv, cipher.getAuthTag(), text]).toString('base64url')
    },
    open(text, purpose) {
      const bytes = Buffer.from(text, 'base64url')
      if (bytes.length <= ivBytes + tagBytes || bytes.toString('base64url') !== text) return null
      for (const key of keys) {
        const plain = decrypt(bytes, key, purpose)
        if (plain !== null) return plain
      }
      return null
    },
  }
}

function decrypt(bytes: Buffer, key: Buffer, purpose: string): Readonly<Record<string, unknown>> | null {
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, ivBytes), { authTagLength: tagBytes })
    decipher.setAAD(Buffer.from(purpose))
    decipher.setAuthTag(bytes.subarray(ivBytes, ivBytes + tagBytes))
    const text = Buffer.concat([decipher.update(bytes.subarray(ivBytes + tagBytes)), decipher.final()])
    const value: unknown = JSON.parse(text.toString('utf8'))
    return typeof value === 'object' && value !== null ? { ...value } : null
  } catch {
    return null
  }
}

/** Browsers keep 4096 bytes of name, value and attributes. */
const chunkChars = 3_600
/** Servers behind and before take some 16 kB of fields. */
const chunksMax = 4

/** Name and value of each cookie, the first telling how many there are; null when it is too much. */
export function split(name: string, text: string): (readonly [string, string])[] | null {
  const count = Math.ceil(text.length / chunkChars)
  if (count > chunksMax) return null
  return Array.from({ length: count }, (_, index) => {
    const part = text.slice(index * chunkChars, (index + 1) * chunkChars)
    return [chunkName(name, index), index === 0 ? `${count}.${part}` : part] as const
  })
}

export function join(name: string, read: (name: string) => string | undefined): string | null {
  const first = read(name)
  const count = Number(first?.slice(0, 1))
  if (first === undefined || first[1] !== '.' || !(count >= 1 && count <= chunksMax)) return null
  let text = first.slice(2)
  for (let index = 1; index < count; index++) {
    const part = read(chunkName(name, index))
    if (part === undefined) return null
    text += part
  }
  return text
}

/** Names that a session may have been split over. */
export function chunkNames(name: string): string[] {
  return Array.from({ length: chunksMax }, (_, index) => chunkName(name, index))
}

function chunkName(name: string, index: number): string {
  return index === 0 ? name : `${name}.${index}`
}
