/** Times as text, against what the language makes of them. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Timestamp, timestamp } from '../../shared/protocol/ids.ts';

const asDate = (ms: number) => new Date(ms).toISOString();
const YEAR_0 = Date.UTC(0, 0, 1);
const YEAR_9999 = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

describe('a timestamp', () => {
  it('is what a date says, in whatever order times come', () => {
    const times = fc.oneof(
      fc.integer({ min: YEAR_0, max: YEAR_9999 }),
      // Most come shortly after one another, and now and then a clock is set back.
      fc.integer({ min: -150_000, max: 150_000 }),
      fc.double({ min: -150_000, max: 150_000, noNaN: true }),
    );
    fc.assert(
      fc.property(fc.array(times), (sequence) => {
        expect(sequence.map(timestamp)).toEqual(sequence.map(asDate));
      }),
    );
  });

  it('is one of the protocol', () => {
    fc.assert(fc.property(fc.integer({ min: 0, max: YEAR_9999 }), (ms) => Timestamp.safeParse(timestamp(ms)).success));
  });

  it('refuses what is no time', () => {
    for (const ms of [Number.NaN, Number.POSITIVE_INFINITY, 8.64e15 + 60_000])
      expect(() => timestamp(ms)).toThrow(RangeError);
  });
});
