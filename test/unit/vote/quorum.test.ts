import { describe, expect, it } from 'vitest';
import { constitute, judge, type Verdict } from '../../../shared/core/quorum.ts';
import type { VoteRule } from '../../../shared/protocol/vote.ts';

const VOTERS = ['v1', 'v2', 'v3', 'v4', 'v5', 'v6', 'v7'];

/** `aab-` of 5 voters: v1 and v2 for a, v3 for b, v4 abstains, v5 is outstanding. */
function verdict(rule: VoteRule, roster: number, positions: string, options = ['a', 'b', 'c']): Verdict {
  const voters = VOTERS.slice(0, roster);
  const constituted = constitute(rule, voters, options);
  if (!constituted.ok) throw new Error(constituted.message);
  const casts = positions.split('').map((position, index) => ({
    agent: voters[index] ?? '',
    position: position === '-' ? 'abstain' : position,
  }));
  return judge(constituted.electorate, casts);
}

/** `won a 3`, `lost no_majority`, `pending tie`. */
function said({ status, outcome }: Verdict): string {
  return `${status} ${outcome.consensus ? `${outcome.position} ${outcome.votes}` : outcome.reason}`;
}

const SCENARIOS: readonly (readonly [rule: VoteRule, roster: number, positions: string, expected: string])[] = [
  [{ method: 'majority' }, 5, '', 'pending insufficient_votes'],
  [{ method: 'majority' }, 5, 'aa', 'pending insufficient_votes'],
  [{ method: 'majority' }, 5, 'aaa', 'won a 3'],
  [{ method: 'majority' }, 5, 'aab', 'pending no_majority'],
  [{ method: 'majority' }, 5, 'aabb', 'pending no_majority'],
  [{ method: 'majority' }, 5, 'aabb-', 'lost no_majority'],
  [{ method: 'majority' }, 5, 'abc-', 'lost no_majority'],
  [{ method: 'majority' }, 5, '---', 'lost no_majority'],
  [{ method: 'majority' }, 2, '-', 'pending insufficient_votes'],
  [{ method: 'majority' }, 0, '', 'lost insufficient_votes'],
  [{ method: 'majority', quorum: 4 }, 3, '', 'lost insufficient_votes'],
  [{ method: 'majority', quorum: 2 }, 4, 'aabb', 'lost tie'],
  [{ method: 'majority', quorum: 2 }, 5, 'aabb', 'pending tie'],
  [{ method: 'majority', quorum: 1 }, 3, 'a', 'pending a 1'],
  [{ method: 'majority', quorum: 1 }, 3, 'aa', 'won a 2'],

  [{ method: 'weighted' }, 5, 'aa', 'pending insufficient_votes'],
  [{ method: 'weighted' }, 5, 'aaa', 'won a 3'],
  [{ method: 'weighted' }, 4, 'aabb', 'lost tie'],
  [{ method: 'weighted' }, 5, '-----', 'lost no_majority'],
  [{ method: 'weighted', weights: { v1: 10 } }, 5, 'abb', 'won a 1'],
  [{ method: 'weighted', weights: { v1: 3 } }, 5, 'abb', 'pending a 1'],
  [{ method: 'weighted', weights: { v1: 0.1, v2: 0.2, v3: 0.3 } }, 3, 'aab', 'lost tie'],
  [{ method: 'weighted', weights: { v4: 0, v5: 0 } }, 5, 'aab', 'won a 2'],
  [{ method: 'weighted', weights: { v1: 0, v2: 0, v3: 0 } }, 3, 'aab', 'lost no_majority'],
  [{ method: 'weighted', threshold: 0.6 }, 5, 'aaabb', 'won a 3'],
  [{ method: 'weighted', threshold: 0.61 }, 5, 'aaabb', 'lost no_majority'],
  [{ method: 'weighted', threshold: 0.6 }, 5, 'aaa', 'won a 3'],
  [{ method: 'weighted', threshold: 0.75 }, 5, 'aaa', 'pending a 3'],
  [{ method: 'weighted', threshold: 0.75 }, 5, 'aaa-', 'won a 3'],
  [{ method: 'weighted', threshold: 0.8 }, 5, 'aaab', 'pending no_majority'],
  [{ method: 'weighted', threshold: 0.8 }, 5, 'aaaba', 'won a 4'],
  [{ method: 'weighted', threshold: 0.81 }, 5, 'aaab', 'lost no_majority'],

  [{ method: 'unanimous' }, 3, 'aa', 'pending insufficient_votes'],
  [{ method: 'unanimous' }, 3, 'aaa', 'won a 3'],
  [{ method: 'unanimous' }, 3, 'ab', 'lost no_majority'],
  [{ method: 'unanimous' }, 3, '-', 'lost no_majority'],
  [{ method: 'unanimous', quorum: 1 }, 3, 'aa', 'pending insufficient_votes'],
  [{ method: 'unanimous', quorum: 4 }, 3, 'aaa', 'lost insufficient_votes'],

  [{ method: 'ahead-by-k' }, 5, 'aa', 'pending insufficient_votes'],
  [{ method: 'ahead-by-k' }, 5, 'aab', 'won a 2'],
  [{ method: 'ahead-by-k', k: 2 }, 5, 'aab', 'pending no_majority'],
  [{ method: 'ahead-by-k', k: 2 }, 5, 'aaba', 'won a 3'],
  [{ method: 'ahead-by-k', k: 2, quorum: 1 }, 7, 'aa', 'won a 2'],
  [{ method: 'ahead-by-k', k: 3 }, 4, 'aabb', 'lost tie'],
  [{ method: 'ahead-by-k', k: 3 }, 5, 'aaabb', 'lost no_majority'],
  [{ method: 'ahead-by-k', k: 7 }, 5, 'aab', 'pending no_majority'],
  [{ method: 'ahead-by-k', k: 7 }, 5, 'aaa', 'lost no_majority'],
];

describe('judge', () => {
  it.each(SCENARIOS)('%o of %i voters, %j: %s', (rule, roster, positions, expected) => {
    expect(said(verdict(rule, roster, positions))).toBe(expected);
  });

  it('waits for nobody where a single option has all the scores, whatever share it must have', () => {
    expect(said(verdict({ method: 'weighted', threshold: 0.9 }, 3, 'aa', ['a']))).toBe('won a 2');
  });

  it('shows the score of every option as it was written', () => {
    const { outcome } = verdict({ method: 'weighted', weights: { v1: 0.1, v2: 0.2 } }, 3, 'aab');
    expect(outcome.scores).toEqual({ a: 0.3, b: 1, c: 0 });
  });

  it('gives a voter with the id of an inherited property the default weight', () => {
    const constituted = constitute({ method: 'weighted' }, ['constructor', '__proto__', 'toString'], ['a', 'b']);
    if (!constituted.ok) throw new Error(constituted.message);
    const casts = ['constructor', '__proto__', 'toString'].map((agent) => ({ agent, position: 'a' }));
    expect(judge(constituted.electorate, casts).outcome.scores).toEqual({ a: 3, b: 0 });
  });
});

describe('constitute', () => {
  it.each([
    [{ method: 'weighted', weights: { v1: -1 } }, 'weights.v1: expected a finite number of at least 0, got -1'],
    [
      { method: 'weighted', weights: { v1: Number.NaN } },
      'weights.v1: expected a finite number of at least 0, got NaN',
    ],
    [
      { method: 'weighted', weights: { v1: Infinity } },
      'weights.v1: expected a finite number of at least 0, got Infinity',
    ],
    [{ method: 'weighted', threshold: Number.NaN }, 'threshold: expected a share from 0 to 1, got NaN'],
    [{ method: 'majority', quorum: 0 }, 'quorum: expected a whole number of at least 1, got 0'],
    [{ method: 'ahead-by-k', k: 0.5 }, 'k: expected a whole number of at least 1, got 0.5'],
  ] as const)('refuses %o', (rule, message) => {
    expect(constitute(rule, ['v1'], ['a'])).toEqual({ ok: false, message });
  });

  it('refuses a round without options, and abstaining as an option', () => {
    expect(constitute({ method: 'majority' }, ['v1'], [])).toMatchObject({ ok: false });
    expect(constitute({ method: 'majority' }, ['v1'], ['a', 'abstain'])).toMatchObject({ ok: false });
  });

  it('takes as many weights as a request can bring', () => {
    const weights = Object.fromEntries(Array.from({ length: 150_000 }, (_, index) => [`v${index}`, index / 100]));
    const constituted = constitute({ method: 'weighted', weights }, ['v1', 'v150'], ['a']);
    if (!constituted.ok) throw new Error(constituted.message);
    const casts = ['v1', 'v150'].map((agent) => ({ agent, position: 'a' }));
    expect(judge(constituted.electorate, casts).outcome.scores).toEqual({ a: 1.51 });
  });

  it('counts an option that is named twice once', () => {
    expect(constitute({ method: 'majority' }, ['v1'], ['a', 'a'])).toMatchObject({ electorate: { options: ['a'] } });
  });

  it('counts a voter that is named twice once (I8)', () => {
    const constituted = constitute({ method: 'majority' }, ['v1', 'v2', 'v1'], ['a']);
    expect(constituted).toMatchObject({ ok: true, electorate: { roster: ['v1', 'v2'], quorum: 2 } });
  });
});
