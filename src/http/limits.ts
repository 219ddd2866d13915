// Bounds of what the codec reads.

export interface HeadLimits {
  /** Start line and header fields together, bytes. */
  readonly headBytes: number
  /** Number of header fields. */
  readonly fields: number
  /** Request target, bytes. */
  readonly targetBytes: number
}

export const defaultLimits: HeadLimits = { headBytes: 32_000, fields: 100, targetBytes: 8_000 }
