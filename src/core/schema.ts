// The language in which options are declared: TypeBox, plus the units and short forms of the config file.
//
// A schema describes what the user writes (it is exported as JSON Schema) and, by its static type, what the gateway gets
// after the config was resolved: durations as milliseconds, sizes as bytes, defaults filled in, short forms written out.

import { type Static, type TSchema, Type } from 'typebox'

export { type Static, type TSchema, Type }

export interface Annotations {
  readonly description?: string
  readonly default?: unknown
  readonly examples?: readonly unknown[]
  readonly minimum?: number
  readonly maximum?: number
}

/** Written `250ms`, `10s`, `5m`, `2h`, `1d`; resolved to milliseconds. */
export function Duration(annotations: Annotations = {}) {
  return Type.Unsafe<number>({ type: 'string', format: 'duration', ...annotations })
}

/** Written `512B`, `64kB`, `10MB`, `1GB` (powers of 1000), `64KiB` (of 1024) or plain bytes; resolved to bytes. */
export function Size(annotations: Annotations = {}) {
  return Type.Unsafe<number>({ type: ['string', 'integer'], format: 'size', ...annotations })
}

/** Written `100/minute`, `5/s`, `10/10s`; resolved to a count and a window in milliseconds. */
export function Rate(annotations: Annotations = {}) {
  return Type.Unsafe<{ count: number; windowMs: number }>({ type: 'string', format: 'rate', ...annotations })
}

/** Written `20%`; resolved to a fraction from 0 to 1. */
export function Percent(annotations: Annotations = {}) {
  return Type.Unsafe<number>({ type: 'string', format: 'percent', ...annotations })
}

/** Written `200`, or `2xx` for a class of statuses. Stays as it is, as a string. */
export function Statuses(annotations: Annotations = {}) {
  return Type.Unsafe<string>({ type: ['string', 'integer'], format: 'statuses', ...annotations })
}

/** A text with `{placeholders}`; see template.ts for what may stand in them. Stays a string. */
export function TemplateText(annotations: Annotations = {}) {
  return Type.Unsafe<string>({ type: 'string', format: 'template', ...annotations })
}

/** A path pattern; see pattern.ts. Stays a string. */
export function PatternText(annotations: Annotations = {}) {
  return Type.Unsafe<string>({ type: 'string', format: 'pattern', ...annotations })
}

/** An optional entry that is null where it is not written. */
export function Maybe<T extends TSchema>(schema: T) {
  return Type.Unsafe<Static<T> | null>({ ...schema, default: null })
}

/** An object that may be shortened to the value of one of its keys: `forward: catalog` for `forward: { to: catalog }`. */
export function Shorthand<T extends TSchema>(key: string, schema: T) {
  return Type.Unsafe<Static<T>>({ ...schema, shorthand: key })
}

/** A list that may be shortened to its only item. */
export function OneOrMany<T extends TSchema>(item: T, annotations: Annotations & { minItems?: number } = {}) {
  return Type.Unsafe<Static<T>[]>({ type: 'array', items: item, oneOrMany: true, ...annotations })
}

/** One of these words. */
export function Choice<const T extends readonly string[]>(words: T, annotations: Annotations = {}) {
  return Type.Unsafe<T[number]>({ type: 'string', enum: [...words], ...annotations })
}

/** A map from names to values of one kind, in the order written. */
export function Named<T extends TSchema>(value: T, annotations: Annotations = {}) {
  return Type.Unsafe<Record<string, Static<T>>>({ type: 'object', additionalProperties: value, ...annotations })
}

/** A policy inside the options of another one, and its resolved options. It acts on every call: it takes no `when`. */
export interface PolicyPart {
  readonly policy: string
  readonly options: unknown
}

/** A text that must come from outside (`${env:NAME}`, `${file:PATH}`) and is never printed. */
export function Secret(annotations: Annotations & { minLength?: number } = {}) {
  return Type.Unsafe<string>({ type: 'string', format: 'secret', ...annotations })
}

/**
 * A list of policies inside the options of a policy; `PolicyPorts.policy` builds them. `giving` is the name of a fact: only
 * policies that give it may stand there.
 */
export function Policies(annotations: Annotations & { minItems?: number; giving?: string } = {}) {
  return Type.Unsafe<PolicyPart[]>({ type: 'array', items: { isPolicy: true }, ...annotations })
}

/** An object without unknown keys. */
export function Fields<T extends Record<string, TSchema>>(properties: T, annotations: Annotations = {}) {
  return Type.Object(properties, { additionalProperties: false, ...annotations })
}
