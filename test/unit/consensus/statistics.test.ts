import { expect, test } from 'vitest';
import { holds, mean, share } from '../../bench/consensus/statistics.ts';

const Z = 3.290_526_731_491_926;

test('the ends of a Wilson interval are the shares from which the seen one is just so many standard deviations away', () => {
  for (const [successes, trials] of [
    [1, 10],
    [37, 50],
    [1_990, 2_000],
    [5, 100_000],
  ] as const) {
    const { value, low, high } = share(successes, trials);
    expect(value).toBe(successes / trials);
    for (const end of [low, high])
      expect(Math.abs(value - end)).toBeCloseTo(Z * Math.sqrt((end * (1 - end)) / trials), 10);
    expect(low).toBeLessThan(value);
    expect(high).toBeGreaterThan(value);
  }
});

test('nothing seen, nothing wrong, nothing right', () => {
  expect(share(0, 0)).toEqual({ value: 0, low: 0, high: 1 });
  expect(share(0, 2_000)).toMatchObject({ value: 0, low: 0 });
  expect(share(0, 2_000).high).toBeCloseTo(Z ** 2 / (2_000 + Z ** 2), 10);
  expect(share(2_000, 2_000)).toMatchObject({ value: 1, high: 1 });
});

/** Of all numbers of successes, weighed with how probable they are: how often the interval holds the true share. */
function coverage(trials: number, truth: number): number {
  // In logarithms: the first of them is too small for a number.
  let [covered, logarithm] = [0, trials * Math.log1p(-truth)];
  for (let successes = 0; successes <= trials; successes += 1) {
    if (holds(share(successes, trials), truth)) covered += Math.exp(logarithm);
    logarithm += Math.log(((trials - successes) / (successes + 1)) * (truth / (1 - truth)));
  }
  return covered;
}

test('a Wilson interval holds the truth about as often as it says', () => {
  for (const truth of [0.5, 0.6, 0.8, 0.942, 0.99]) {
    expect(coverage(1_000, truth)).toBeGreaterThan(0.996);
    expect(coverage(1_000, truth)).toBeLessThan(0.9999);
  }
});

test('a mean has the interval of its standard error, and none when nothing varied', () => {
  expect(mean([3, 3, 3])).toEqual({ value: 3, low: 3, high: 3 });
  const { value, low, high } = mean([1, 2, 3, 4]);
  expect(value).toBe(2.5);
  expect(high - value).toBeCloseTo(Z * Math.sqrt(5 / 3 / 4), 10);
  expect(value - low).toBeCloseTo(high - value, 10);
});

test('an expectation outside of the interval does not hold', () => {
  expect(holds({ low: 0.9, high: 0.92 }, 0.91)).toBe(true);
  expect(holds({ low: 0.9, high: 0.92 }, 0.93)).toBe(false);
  expect(holds({ low: 0.9, high: 0.92 }, 0.89)).toBe(false);
});
