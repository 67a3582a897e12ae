import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decorrelatedJitter, retryAfterMs } from '../../../shared/adapters/backoff.ts';

describe('decorrelatedJitter', () => {
  const limits = fc
    .record({ baseMs: fc.integer({ min: 1, max: 1000 }), more: fc.nat(60_000) })
    .map(({ baseMs, more }) => ({ baseMs, capMs: baseMs + more }));
  const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

  it('stays between the base and three times the wait before, and under the cap', () => {
    fc.assert(
      fc.property(limits, fc.option(fc.nat(100_000), { nil: undefined }), random, (range, previous, drawn) => {
        const wait = decorrelatedJitter(range, previous, () => drawn);
        const highest = Math.min(range.capMs, 3 * Math.max(previous ?? 0, range.baseMs));
        expect(wait >= range.baseMs && wait <= highest).toBe(true);
      }),
    );
  });

  it('spreads: the draw decides', () => {
    const range = { baseMs: 100, capMs: 10_000 };
    expect(decorrelatedJitter(range, undefined, () => 0)).toBe(100);
    expect(decorrelatedJitter(range, undefined, () => 0.5)).toBe(200);
    expect(decorrelatedJitter(range, 1000, () => 0.5)).toBe(1550);
    // At the cap too: those who came there together must not stay together.
    expect(decorrelatedJitter(range, 10_000, () => 0.5)).toBe(5050);
  });
});

describe('retryAfterMs', () => {
  const now = Date.UTC(2030, 0, 1, 12, 0, 0);

  it.each([
    ['0', 0],
    ['2', 2000],
    [' 1.5 ', 1500],
    ['Tue, 01 Jan 2030 12:00:30 GMT', 30_000],
    ['Tue, 01 Jan 2030 11:59:00 GMT', 0],
  ])('reads %j', (header, ms) => {
    expect(retryAfterMs(header, now)).toBe(ms);
  });

  it.each([undefined, null, '', 'soon', '-5', '1e3', '12/30', 'NaN'])('ignores %j', (header) => {
    expect(retryAfterMs(header, now)).toBeUndefined();
  });
});
