// The signatures of a call: Signature-Input and Signature read together, within bounds (RFC 9421 §4).

import type { Call } from '../../core/call.ts'
import {
  isInnerList,
  type Item,
  type Parameters,
  readDictionary,
  writeInnerList,
} from '../../identity/structured-fields.ts'
import { compileComponent, type Component, type ComponentRules } from './components.ts'

/** One signature of a call, and what it says of itself. */
export interface Signed {
  readonly components: readonly Component[]
  readonly keyId: string
  /** Seconds since the Unix epoch. */
  readonly created: number
  /** Infinity for never. */
  readonly expires: number
  /** Empty where there is none, as of the others. */
  readonly nonce: string
  readonly algorithm: string
  readonly tag: string
  readonly signature: Buffer
  /** The value of `@signature-params`. */
  readonly parameters: string
}

export interface SignedRules extends ComponentRules {
  /** Characters of each of the two fields. */
  readonly fieldMax: number
  readonly signaturesMax: number
  readonly componentsMax: number
}

/** Why no signature can be used. `none`: the call has none; `many`: past a bound. */
export interface Unsigned {
  readonly kind: 'none' | 'many' | 'malformed'
  readonly reason: string
}

/** The signatures with this tag, all where it is null; or why there are none. */
export function readSigned({ headers }: Call, tag: string | null, rules: SignedRules): readonly Signed[] | Unsigned {
  const inputs = headers.all('signature-input').join(', ')
  const signatures = headers.all('signature').join(', ')
  if (inputs === '' && signatures === '') return { kind: 'none', reason: 'no signature' }
  if (inputs.length > rules.fieldMax || signatures.length > rules.fieldMax) {
    return { kind: 'many', reason: 'the signature fields are too long' }
  }
  const described = readDictionary(inputs)
  const given = readDictionary(signatures)
  if (described === null || given === null) return malformed('the signature fields are malformed')
  if (described.size === 0 || described.size !== given.size)
    return malformed('the signature fields do not fit together')
  if (described.size > rules.signaturesMax) return { kind: 'many', reason: 'there are too many signatures' }
  const found: Signed[] = []
  for (const [label, member] of described) {
    const signature = given.get(label)
    if (signature === undefined || isInnerList(signature) || signature.bare.type !== 'bytes' || !isInnerList(member)) {
      return malformed('the signature fields do not fit together')
    }
    // They say nothing, and nobody signed them.
    if (signature.parameters.size > 0) return malformed('a signature has parameters')
    if (member.items.length > rules.componentsMax) {
      return { kind: 'many', reason: 'a signature covers too many components' }
    }
    const components = compileComponents(member.items, rules)
    if (typeof components === 'string') return malformed(components)
    const stated = readParameters(member.parameters)
    if (typeof stated === 'string') return malformed(stated)
    if (tag !== null && stated.tag !== tag) continue
    found.push({ ...stated, components, signature: signature.bare.value, parameters: writeInnerList(member) })
  }
  return found.length === 0 ? malformed('no signature has the tag') : found
}

/** RFC 9421 §2.5: what is signed, as octets. Null where a component is missing or is no ASCII text. */
export function signatureBase(call: Call, { components, parameters }: Signed): Buffer | null {
  let base = ''
  for (const component of components) {
    const value = component.value(call)
    // A line end in a value would forge a line of the base.
    if (value === null || !/^[\t -~]*$/.test(value)) return null
    base += `${component.identifier}: ${value}\n`
  }
  return Buffer.from(`${base}"@signature-params": ${parameters}`, 'latin1')
}

function malformed(reason: string): Unsigned {
  return { kind: 'malformed', reason }
}

function compileComponents(items: readonly Item[], rules: SignedRules): readonly Component[] | string {
  const components: Component[] = []
  const identities = new Set<string>()
  for (const item of items) {
    const component = compileComponent(item, rules)
    if (typeof component === 'string') return component
    if (identities.has(component.identity)) return 'a component is covered twice'
    identities.add(component.identity)
    components.push(component)
  }
  return components
}

type Stated = Omit<Signed, 'components' | 'signature' | 'parameters'>

function readParameters(parameters: Parameters): Stated | string {
  const text = (name: string): string | null => {
    const bare = parameters.get(name)
    return bare === undefined ? '' : bare.type === 'string' ? bare.value : null
  }
  const time = (name: string, absent: number): number | null => {
    const bare = parameters.get(name)
    return bare === undefined ? absent : bare.type === 'integer' ? bare.value : null
  }
  const [keyId, nonce, algorithm, tag] = [text('keyid'), text('nonce'), text('alg'), text('tag')]
  const [created, expires] = [time('created', -1), time('expires', Infinity)]
  if (keyId === null || nonce === null || algorithm === null || tag === null) return 'a parameter is no string'
  if (created === null || expires === null) return 'a time is no whole number'
  if (keyId === '') return 'a signature names no key'
  if (created < 0) return 'a signature does not say when it was made'
  if (expires <= created) return 'a signature expires before it is made'
  return { keyId, nonce, algorithm, tag, created, expires }
}
