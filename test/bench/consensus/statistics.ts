/** Intervals of what was measured. One level for all: a figure is judged by the same interval that its bar shows. */

/** Two sides together leave out one in a thousand. */
export const CONFIDENCE_PERCENT = 99.9;
/** The normal distribution's quantile at 99.95 %. */
const Z = 3.290_526_731_491_926;

export interface Interval {
  readonly low: number;
  readonly high: number;
}

export interface Estimate extends Interval {
  readonly value: number;
}

/**
 * A share and its Wilson score interval, which stays within 0 and 1 and means something also when nothing was wrong.
 * E. B. Wilson, Journal of the American Statistical Association 22 (1927) 209-212.
 */
export function share(successes: number, trials: number): Estimate {
  if (trials === 0) return { value: 0, low: 0, high: 1 };
  const value = successes / trials;
  const spread = Z ** 2 / trials;
  const centre = (value + spread / 2) / (1 + spread);
  const half = (Z / (1 + spread)) * Math.sqrt((value * (1 - value)) / trials + spread / (4 * trials));
  // At the ends the exact bounds are 0 and 1; rounding must not lose them.
  return {
    value,
    low: successes === 0 ? 0 : Math.max(0, centre - half),
    high: successes === trials ? 1 : Math.min(1, centre + half),
  };
}

/** A mean and its interval by the central limit theorem. */
export function mean(values: readonly number[]): Estimate {
  const count = values.length;
  const value = values.reduce((sum, each) => sum + each, 0) / count;
  const squares = values.reduce((sum, each) => sum + (each - value) ** 2, 0);
  const half = Z * Math.sqrt(squares / Math.max(1, count - 1) / count);
  return { value, low: value - half, high: value + half };
}

/** Whether an expectation fits what was measured; a mean that never varied needs a little room for rounding. */
export function holds({ low, high }: Interval, expected: number): boolean {
  const rounding = 1e-9;
  return expected >= low - rounding && expected <= high + rounding;
}
