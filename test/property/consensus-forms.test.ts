/** The closed forms that the consensus benchmark measures against, themselves held against every way in which voters can answer. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { advance, openRound } from '../../shared/core/round.ts';
import type { VoteRule } from '../../shared/protocol/vote.ts';
import {
  accuracyOf,
  aheadByK,
  type Expected,
  leadFor,
  logOddsWeight,
  majority,
  ruin,
  weighted,
  weightedSharedLot,
} from '../bench/consensus/closed-forms.ts';

const DIGITS = 10;
const accuracy = fc.integer({ min: 1, max: 99 }).map((percent) => percent / 100);

interface Ended {
  readonly position: string | undefined;
  readonly asked: number;
}

/** The round as the product runs it, with everybody's answer known beforehand. */
function runRound(rule: VoteRule, rights: readonly boolean[]): Ended {
  const roster = rights.map((_, index) => `v${index}`);
  const opened = openRound({ roundId: 'r', options: ['right', 'wrong'], rule, roster, deadlineAt: 1_000 }, 0);
  if (!opened.ok) throw new Error(opened.message);
  let { state } = opened;
  const asked: string[] = [];
  const waiting = opened.effects.flatMap((effect) => (effect.type === 'ask' ? effect.voters : []));
  for (let agent = waiting.shift(); agent !== undefined; agent = waiting.shift()) {
    asked.push(agent);
    const position = rights[roster.indexOf(agent)] === true ? 'right' : 'wrong';
    const value = { roundId: 'r', agent, position, timestamp: '2030-01-01T00:00:00.000Z' };
    const step = advance(state, { type: 'ballot', at: 1, token: agent, ballot: { ok: true, value } });
    state = step.state;
    waiting.push(...step.effects.flatMap((effect) => (effect.type === 'ask' ? effect.voters : [])));
  }
  const { state: ended } = advance(state, { type: 'deadline', at: 1_000 });
  if (ended.phase !== 'decided') throw new Error('the deadline did not end the round');
  return { position: ended.outcome.consensus ? ended.outcome.position : undefined, asked: asked.length };
}

/** Every way to answer, with its probability. */
function enumerated(rule: VoteRule, accuracies: readonly number[]): Expected {
  let [right, wrong, asked] = [0, 0, 0];
  for (let way = 0; way < 2 ** accuracies.length; way += 1) {
    const rights = accuracies.map((_, voter) => ((way >> voter) & 1) === 1);
    const probability = accuracies.reduce((product, each, voter) => product * (rights[voter] ? each : 1 - each), 1);
    const ended = runRound(rule, rights);
    if (ended.position === 'right') right += probability;
    if (ended.position === 'wrong') wrong += probability;
    asked += probability * ended.asked;
  }
  return { right, wrong, asked };
}

function expectSame(one: Expected, other: Expected): void {
  expect(one.right).toBeCloseTo(other.right, DIGITS);
  expect(one.wrong).toBeCloseTo(other.wrong, DIGITS);
  expect(one.asked).toBeCloseTo(other.asked, DIGITS);
}

const same = (voters: number, value: number) => Array.from({ length: voters }, () => value);

describe('majority', () => {
  it('is what all ways to answer come to', () => {
    fc.assert(
      fc.property(fc.constantFrom(1, 3, 5, 7, 9), accuracy, (voters, p) => {
        expectSame(majority(voters, p), enumerated({ method: 'majority' }, same(voters, p)));
      }),
      { numRuns: 40 },
    );
  });
});

describe('weighted', () => {
  const members = fc.array(fc.record({ p: accuracy, weight: fc.integer({ min: 0, max: 5 }) }), {
    minLength: 1,
    maxLength: 6,
  });

  it('is what all ways to answer come to, ties included', () => {
    fc.assert(
      fc.property(members, (voters) => {
        const weights = Object.fromEntries(voters.map(({ weight }, index) => [`v${index}`, weight / 100]));
        const accuracies = voters.map(({ p }) => p);
        const expected = weighted(
          accuracies,
          voters.map(({ weight }) => weight),
        );
        expectSame(expected, enumerated({ method: 'weighted', weights }, accuracies));
      }),
      { numRuns: 60 },
    );
  });

  it('with one lot for all is what every lot comes to', () => {
    fc.assert(
      fc.property(members, (voters) => {
        const lots = Array.from({ length: 100 }, (_, index) => (index + 0.5) / 100);
        const weights = voters.map(({ weight }) => weight);
        const leads = lots.map((drawn) =>
          voters.reduce((sum, { p, weight }) => sum + (drawn < p ? weight : -weight), 0),
        );
        const { right, wrong } = weightedSharedLot(
          voters.map(({ p }) => p),
          weights,
        );
        expect(right).toBeCloseTo(leads.filter((lead) => lead > 0).length / 100, DIGITS);
        expect(wrong).toBeCloseTo(leads.filter((lead) => lead < 0).length / 100, DIGITS);
      }),
    );
  });

  it('no other weights decide better than the logarithms of the odds', () => {
    fc.assert(
      fc.property(members, (voters) => {
        const accuracies = voters.map(({ p }) => p);
        const best = weighted(accuracies, accuracies.map(logOddsWeight));
        const other = weighted(
          accuracies,
          voters.map(({ weight }) => weight),
        );
        // A tie is worth half: a coin could decide it. Weights in hundredths are not exactly the best.
        const worth = ({ right, wrong }: Expected) => right + (1 - right - wrong) / 2;
        expect(worth(best)).toBeGreaterThan(worth(other) - 0.005);
      }),
    );
  });
});

describe('ahead by k', () => {
  const setting = fc
    .record({ k: fc.integer({ min: 1, max: 4 }), more: fc.integer({ min: 0, max: 6 }), p: accuracy })
    .map(({ k, more, p }) => ({ k, roster: k + more, p }));

  it('with a roster that ends is what all ways to answer come to', () => {
    fc.assert(
      fc.property(setting, ({ k, roster, p }) => {
        expectSame(aheadByK(p, k, roster), enumerated({ method: 'ahead-by-k', k, quorum: k }, same(roster, p)));
      }),
      { numRuns: 60 },
    );
  });

  it('decides as well with any roster as without end', () => {
    fc.assert(
      fc.property(setting, ({ k, roster, p }) => {
        expect(accuracyOf(aheadByK(p, k, roster))).toBeCloseTo(accuracyOf(ruin(p, k)), DIGITS);
      }),
    );
  });

  it('with a long roster is the gambler’s ruin, also in what it asks', () => {
    for (const [p, k] of [
      [0.5, 3],
      [0.6, 2],
      [0.8, 5],
      [0.99, 6],
      [0.3, 4],
    ] as const)
      expectSame(aheadByK(p, k, 600), ruin(p, k));
  });

  it('takes the smallest lead that keeps a whole task below what it may fail with', () => {
    const { k, failure } = leadFor(0.99, 16_383, 1e-6);
    expect({ k, failure }).toEqual({ k: 6, failure: expect.closeTo(16_383 / 99 ** 6, 12) });
    expect(16_383 / 99 ** 5).toBeGreaterThan(1e-6);
    expect(leadFor(0.99, 1_048_575, 1e-6).k).toBe(7);
  });
});
