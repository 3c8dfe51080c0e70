// Decimal arithmetic in whole numbers, so that a sum or a comparison of prices is exact. Pure.

const DIGITS = 18;

/** Digits after the point of what `units` gives. */
export const SCALE = DIGITS;

/** A number as a whole number of 10^-18, by its shortest decimal text, which is what the server wrote. */
export function units(value) {
  const [mantissa, exponent = "0"] = String(value).split("e");
  const [whole, fraction = ""] = mantissa.split(".");
  const shift = DIGITS + Number(exponent) - fraction.length;
  const digits = BigInt(whole + fraction);
  return shift >= 0 ? digits * 10n ** BigInt(shift) : digits / 10n ** BigInt(-shift);
}

/** A whole number of 10^-scale as a number with so many decimals, rounded down: never more than it is. */
export function floored(amount, scale, decimals) {
  const step = 10n ** BigInt(scale - decimals);
  return Number((amount - (((amount % step) + step) % step)) / step) / 10 ** decimals;
}
