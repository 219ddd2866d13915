// Whether a number is a multiple of another one, by the decimals that they are written with.
//
// In binary, 0.3 is no multiple of 0.1, and what tolerates that passes 1.5e-13 as a multiple of 1e-12.

interface Decimal {
  readonly digits: bigint
  /** Power of ten that the digits are multiplied with. */
  readonly exponent: number
}

export function isMultiple(value: number, divisor: number): boolean {
  if (Number.isSafeInteger(value) && Number.isSafeInteger(divisor)) return value % divisor === 0
  if (!Number.isFinite(value)) return false
  const [a, b] = [decimalOf(value), decimalOf(divisor)]
  const exponent = Math.min(a.exponent, b.exponent)
  return (a.digits * 10n ** BigInt(a.exponent - exponent)) % (b.digits * 10n ** BigInt(b.exponent - exponent)) === 0n
}

function decimalOf(number: number): Decimal {
  const [mantissa = '', power = '0'] = String(number).split('e')
  const [whole = '', decimals = ''] = mantissa.split('.')
  return { digits: BigInt(whole + decimals), exponent: Number(power) - decimals.length }
}
