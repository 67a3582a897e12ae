import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addNano,
  addUsd,
  communicationCost,
  computeCost,
  goalCost,
  MAX_NANO,
  NANO_PER_USD,
  toNano,
  toUsd,
} from '../../shared/core/cost.ts';

const amount = fc.integer({ min: 0, max: 1_000_000 * NANO_PER_USD });
const tokens = fc.record({ inputTokens: fc.nat(10_000_000), outputTokens: fc.nat(10_000_000) });
/** Prices as people write them: up to nine decimals. */
const listed = fc.integer({ min: 0, max: 1000 * NANO_PER_USD }).map(toUsd);
const price = fc.record({ inputUsdPerMTok: listed, outputUsdPerMTok: listed });
const traffic = fc.record({ messages: fc.nat(1_000_000), bytes: fc.nat(1_000_000_000) });
const tariff = fc.record({ usdPerMessage: listed, usdPerKiB: listed });

function plus<T extends Record<keyof T, number>>(a: T, b: T): T {
  return Object.fromEntries(Object.keys(a).map((key) => [key, a[key as keyof T] + b[key as keyof T]])) as T;
}

describe('money', () => {
  it('survives the way to decimal USD and back, up to a million dollars', () => {
    fc.assert(fc.property(amount, (nano) => toNano(toUsd(nano)) === nano));
  });

  it('adds decimals without drift, in any order', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 10 * NANO_PER_USD }), { maxLength: 200 }), (nanos) => {
        const exact = nanos.reduce((sum, nano) => sum + BigInt(nano), 0n);
        expect(toNano(addUsd(nanos.map(toUsd)))).toBe(Number(exact));
        expect(addUsd(nanos.toReversed().map(toUsd))).toBe(addUsd(nanos.map(toUsd)));
      }),
    );
    expect(addUsd([0.1, 0.2])).toBe(0.3);
    expect(addUsd(Array.from({ length: 1000 }, () => 0.001))).toBe(1);
  });

  it('saturates instead of losing precision', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: MAX_NANO }), { maxLength: 20 }), (nanos) => {
        const exact = nanos.reduce((sum, nano) => sum + BigInt(nano), 0n);
        expect(addNano(nanos)).toBe(exact > BigInt(MAX_NANO) ? MAX_NANO : Number(exact));
      }),
    );
    expect(
      computeCost(
        { inputUsdPerMTok: 1_000_000, outputUsdPerMTok: 0 },
        { inputTokens: Number.MAX_SAFE_INTEGER, outputTokens: 0 },
      ),
    ).toBe(MAX_NANO);
    expect(toNano(Number.MAX_VALUE)).toBe(MAX_NANO);
  });

  it.each([-1, Number.NaN, Number.POSITIVE_INFINITY])('refuses %s as an amount', (usd) => {
    expect(() => toNano(usd)).toThrow(/expected an amount in USD/);
  });
});

describe('compute cost', () => {
  it('is the exact price, rounded up to the nano-dollar', () => {
    fc.assert(
      fc.property(price, tokens, (p, t) => {
        const exact =
          BigInt(t.inputTokens) * BigInt(toNano(p.inputUsdPerMTok)) +
          BigInt(t.outputTokens) * BigInt(toNano(p.outputUsdPerMTok));
        const cost = BigInt(computeCost(p, t)) * 1_000_000n;
        expect(cost >= exact && cost - exact < 1_000_000n).toBe(true);
      }),
    );
  });

  it('never falls when usage grows, so a worst case covers every actual usage within it', () => {
    fc.assert(fc.property(price, tokens, tokens, (p, t, more) => computeCost(p, plus(t, more)) >= computeCost(p, t)));
  });

  it('of usage taken together is at most one nano-dollar per part below the parts', () => {
    fc.assert(
      fc.property(price, tokens, tokens, (p, a, b) => {
        const parts = computeCost(p, a) + computeCost(p, b);
        const whole = computeCost(p, plus(a, b));
        expect(whole <= parts && parts <= whole + 1).toBe(true);
      }),
    );
  });

  it.each([-1, 1.5, Number.NaN])('refuses %s tokens', (inputTokens) => {
    const free = { inputUsdPerMTok: 0, outputUsdPerMTok: 0 };
    expect(() => computeCost(free, { inputTokens, outputTokens: 0 })).toThrow(/whole number of input tokens/);
  });

  it('matches an example worked out by hand', () => {
    const cost = computeCost({ inputUsdPerMTok: 2.5, outputUsdPerMTok: 10 }, { inputTokens: 1200, outputTokens: 300 });
    expect(toUsd(cost)).toBe(0.006);
  });
});

describe('communication cost', () => {
  it('is exact per message and rounded up per byte', () => {
    fc.assert(
      fc.property(tariff, traffic, (p, t) => {
        const exact =
          BigInt(t.messages) * BigInt(toNano(p.usdPerMessage)) * 1024n + BigInt(t.bytes) * BigInt(toNano(p.usdPerKiB));
        const limit = BigInt(MAX_NANO) * 1024n;
        const cost = BigInt(communicationCost(p, t)) * 1024n;
        expect(exact > limit ? cost === limit : cost >= exact && cost - exact < 1024n).toBe(true);
      }),
    );
  });
});

describe('the cost of a goal', () => {
  /** All of it together stays under the million dollars up to which decimals are exact. */
  const share = fc.integer({ min: 0, max: 40_000 * NANO_PER_USD });
  const agents = fc.array(fc.tuple(fc.stringMatching(/^[A-Za-z0-9_-]{1,8}$/), share.map(toUsd)), { maxLength: 20 });

  it('is the sum over agents and messages, to the nano-dollar', () => {
    fc.assert(
      fc.property(agents, share, (spent, messages) => {
        const cost = goalCost(spent, toUsd(messages));
        const exact = spent.reduce((sum, [, usd]) => sum + BigInt(toNano(usd)), BigInt(messages));
        expect(toNano(cost.total)).toBe(Number(exact));
        expect(cost.total).toBe(addUsd([...Object.values(cost.compute), cost.communication]));
        expect(Object.keys(cost.compute).toSorted()).toEqual([...new Set(spent.map(([agent]) => agent))].toSorted());
      }),
    );
  });

  it('keeps an agent called __proto__ as a key like any other', () => {
    const cost = goalCost([['__proto__', 0.5]], 0);
    expect(Object.entries(cost.compute)).toEqual([['__proto__', 0.5]]);
    expect(Object.getPrototypeOf(cost.compute)).toBe(Object.prototype);
  });
});
