/**
 * Weights as exact decimals. With binary fractions a score would depend on the order of arrival, and 0.1 + 0.2 against 0.3 would
 * find a winner where the people who wrote those weights see a tie.
 */

/** A non-negative decimal: `units / 10 ** places`. */
interface Decimal {
  readonly units: bigint;
  readonly places: number;
}

/** The shortest decimal that names this double: what somebody wrote in JSON. */
function decimalOf(value: number): Decimal {
  const [digits = '0', exponent = '0'] = String(value).split('e');
  const [whole = '0', fraction = ''] = digits.split('.');
  return { units: BigInt(whole + fraction), places: fraction.length - Number(exponent) };
}

function unitsAt(value: Decimal, places: number): bigint {
  return value.units * 10n ** BigInt(places - value.places);
}

export function isWeight(value: number): boolean {
  return Number.isFinite(value) && value >= 0;
}

/** The weights of one electorate on one common scale. */
export interface Scales {
  /** Weight of one voter, in units of `10 ** -places`. */
  weightOf(voter: string): bigint;
  /** Units back to the number that people read. */
  toNumber(units: bigint): number;
}

/** `weights` must hold only values that pass `isWeight`; a voter without one weighs 1. */
export function scalesOf(weights: Readonly<Record<string, number>>): Scales {
  // A Map: `constructor` and `__proto__` are valid ids and must not find what an object inherits.
  const decimals = new Map(Object.entries(weights).map(([voter, weight]) => [voter, decimalOf(weight)]));
  // One by one: a call takes fewer arguments than a request may bring weights.
  const places = [...decimals.values()].reduce((most, decimal) => Math.max(most, decimal.places), 0);
  const one = 10n ** BigInt(places);
  const units = new Map([...decimals].map(([voter, decimal]) => [voter, unitsAt(decimal, places)]));
  return {
    weightOf: (voter) => units.get(voter) ?? one,
    toNumber: (value) => Number(`${value}e-${places}`),
  };
}

/** Everybody weighs 1. */
export const EVEN: Scales = scalesOf({});

/** Whether `part / whole >= share`, exactly. `share`: from 0 to 1. */
export function holdsShare(part: bigint, whole: bigint, share: number): boolean {
  const { units, places } = decimalOf(share);
  return part * 10n ** BigInt(places) >= units * whole;
}
