/**
 * The four methods against a dumb tally that looks at all ballots at the end, and the early stop against every way in which the
 * outstanding voters could still answer.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Cast, constitute, type Electorate, judge, type Outcome } from '../../shared/core/quorum.ts';
import { advance, openRound, type RoundEffect, type RoundState } from '../../shared/core/round.ts';
import type { Ballot, VoteMethod } from '../../shared/protocol/vote.ts';
import { dumbOutcome, dumbTally, ruleOf, type Setting, type Sheet } from '../unit/vote/dumb-tally.ts';

const OPENED_AT = Date.UTC(2030, 0, 1);
const DEADLINE_AT = OPENED_AT + 1_000;

const named = (outcome: Outcome) => (outcome.consensus ? `won ${outcome.position}` : outcome.reason);

/** Every way in which `voters` may still answer, each with a position, an abstention, or not at all; in every order where order counts. */
function* completions(setting: Setting, voters: readonly string[]): Generator<Sheet> {
  yield [];
  const starts = setting.method === 'ahead-by-k' ? voters.slice(0, 1) : voters;
  for (const [index, voter] of starts.entries()) {
    const rest = voters.filter((other, at) => at > index && other !== voter);
    for (const position of [...setting.options, 'abstain']) {
      for (const later of completions(setting, rest)) yield [[voter, position], ...later];
    }
  }
}

function electorateOf(setting: Setting): Electorate {
  const constituted = constitute(ruleOf(setting), setting.roster, setting.options);
  if (!constituted.ok) throw new Error(constituted.message);
  return constituted.electorate;
}

function ballot(agent: string, position: string, roundId = 'round'): Ballot {
  return { roundId, agent, position, timestamp: '2030-01-01T00:00:00.000Z' };
}

function open(setting: Setting): { state: RoundState; effects: readonly RoundEffect[] } {
  const { roster, options } = setting;
  const opened = openRound(
    { roundId: 'round', options, roster, rule: ruleOf(setting), deadlineAt: DEADLINE_AT },
    OPENED_AT,
  );
  if (!opened.ok) throw new Error(opened.message);
  return opened;
}

/** The round as it runs: ballots in this order, and the deadline. */
function runRound(setting: Setting, sheet: Sheet): { outcome: string; ballots: number } {
  let { state } = open(setting);
  for (const [agent, position] of sheet) {
    const value = ballot(agent, position);
    state = advance(state, { type: 'ballot', at: OPENED_AT, token: agent, ballot: { ok: true, value } }).state;
  }
  state = advance(state, { type: 'deadline', at: DEADLINE_AT }).state;
  if (state.phase !== 'decided') throw new Error('the deadline did not end the round');
  return { outcome: named(state.outcome), ballots: state.ballots.length };
}

const METHODS: readonly VoteMethod[] = ['majority', 'weighted', 'unanimous', 'ahead-by-k'];

function settings(method: VoteMethod, votersMax: number): fc.Arbitrary<Setting> {
  return fc.integer({ min: 0, max: votersMax }).chain((size) => {
    const roster = Array.from({ length: size }, (_, index) => `v${index}`);
    return fc.record({
      method: fc.constant(method),
      roster: fc.constant(roster),
      options: fc.constantFrom(['a'], ['a', 'b'], ['a', 'b', 'c']),
      quorum: fc.option(fc.integer({ min: 1, max: size + 1 }), { nil: undefined }),
      k: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
      hundredths: fc.dictionary(
        fc.constantFrom('v0', 'v1', 'v2', 'v3', 'v4'),
        fc.constantFrom(0, 10, 20, 30, 100, 250),
      ),
      thresholdPercent: fc.option(fc.constantFrom(0, 33, 50, 60, 75, 100), { nil: undefined }),
    });
  });
}

const sheetOf = ({ roster, options }: Setting) =>
  fc
    .shuffledSubarray([...roster])
    .chain((voters) =>
      fc
        .array(fc.constantFrom(...options, 'abstain'), { minLength: voters.length, maxLength: voters.length })
        .map((positions): Sheet => voters.map((voter, index) => [voter, positions[index] ?? 'abstain'])),
    );

const withSheet = (method: VoteMethod, votersMax: number) =>
  settings(method, votersMax).chain((setting) => fc.tuple(fc.constant(setting), sheetOf(setting)));

const castsOf = (sheet: Sheet): Cast[] => sheet.map(([agent, position]) => ({ agent, position }));

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item, index) => permutations(items.toSpliced(index, 1)).map((rest) => [item, ...rest]));
}

describe.each(METHODS)('%s', (method) => {
  it('says at every moment what the dumb tally says', () => {
    fc.assert(
      fc.property(withSheet(method, 5), ([setting, sheet]) => {
        const { outcome, status } = judge(electorateOf(setting), castsOf(sheet));
        // A sheet of ahead-by-k may go on after the first lead; the moment before it is checked by the machine's properties.
        expect(named(outcome)).toBe(dumbOutcome(setting, sheet));
        expect(status === 'won').toBe(status !== 'pending' && outcome.consensus);
      }),
      { numRuns: 2_000 },
    );
  });

  it('is settled exactly when no answer can change the outcome', () => {
    let settledEarly = 0;
    fc.assert(
      fc.property(withSheet(method, 4), ([setting, sheet]) => {
        if (method === 'ahead-by-k' && dumbTally(setting, sheet) !== dumbOutcome(setting, sheet)) return;
        const voted = new Set(sheet.map(([voter]) => voter));
        const outstanding = setting.roster.filter((voter) => !voted.has(voter));
        const outcomes = new Set<string>();
        for (const later of completions(setting, outstanding)) outcomes.add(dumbTally(setting, [...sheet, ...later]));
        const settled = judge(electorateOf(setting), castsOf(sheet)).status !== 'pending';
        if (settled) expect([...outcomes], 'settled, but an answer changes it').toHaveLength(1);
        // With a threshold it may wait in vain while a rival's weights do not add up to a tie: never wrong, only later.
        else if (setting.thresholdPercent === undefined || method !== 'weighted')
          expect(outcomes.size).toBeGreaterThan(1);
        if (settled && outstanding.length > 0) settledEarly += 1;
      }),
      { numRuns: 1_500 },
    );
    expect(settledEarly).toBeGreaterThan(10);
  });

  it('ends with the outcome of the dumb tally in every order of arrival, early stop or not', () => {
    let stoppedEarly = 0;
    fc.assert(
      fc.property(withSheet(method, 4), ([setting, sheet]) => {
        for (const order of permutations(sheet)) {
          const { outcome, ballots } = runRound(setting, order);
          expect(outcome).toBe(dumbTally(setting, order));
          if (ballots < order.length) stoppedEarly += 1;
        }
      }),
      { numRuns: 500 },
    );
    expect(stoppedEarly).toBeGreaterThan(10);
  });

  it('asks every voter at most twice, and everybody before the deadline when it is nudged', () => {
    fc.assert(
      fc.property(withSheet(method, 6), fc.nat(6), ([setting, sheet], nudgeAfter) => {
        const first = open(setting);
        const asked: string[] = [];
        const note = (effects: readonly RoundEffect[]) => {
          for (const effect of effects) if (effect.type === 'ask') asked.push(...effect.voters);
        };
        note(first.effects);
        let { state } = first;
        const inputs = sheet.map(([agent, position]) => {
          const value = ballot(agent, position);
          return { type: 'ballot', at: OPENED_AT, token: agent, ballot: { ok: true, value } } as const;
        });
        const nudge = { type: 'nudge', at: OPENED_AT } as const;
        for (const input of [...inputs.slice(0, nudgeAfter), nudge, nudge, ...inputs.slice(nudgeAfter)]) {
          const step = advance(state, input);
          note(step.effects);
          state = step.state;
        }
        for (const voter of setting.roster)
          expect(asked.filter((each) => each === voter).length).toBeLessThanOrEqual(2);
        if (state.phase !== 'open') return;
        const voted = new Set(sheet.map(([voter]) => voter));
        expect(asked).toEqual(expect.arrayContaining(setting.roster.filter((voter) => !voted.has(voter))));
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('ballots that must not count', () => {
  const setting: Setting = {
    method: 'majority',
    roster: ['v0', 'v1', 'v2', 'v3', 'v4'],
    options: ['a', 'b'],
    quorum: undefined,
    k: undefined,
    hundredths: {},
    thresholdPercent: undefined,
  };
  const anyBallot = fc.record({
    token: fc.constantFrom('v0', 'v1', 'v2', 'v3', 'v4', 'stranger', 'constructor', '__proto__'),
    agent: fc.constantFrom(undefined, undefined, undefined, 'v0', 'stranger'),
    position: fc.constantFrom('a', 'b', 'abstain', 'c', 'constructor'),
    roundId: fc.constantFrom('round', 'round', 'round', 'other'),
    at: fc.integer({ min: OPENED_AT, max: DEADLINE_AT + 20 }),
    malformed: fc.constantFrom(false, false, false, true),
  });

  it('each is either counted once or rejected with a reason; nobody counts twice (I8)', () => {
    const seen = new Set<string>();
    fc.assert(
      fc.property(fc.array(anyBallot, { maxLength: 30 }), (noise) => {
        let { state } = open(setting);
        for (const { token, agent = token, position, roundId, at, malformed } of noise) {
          const value = ballot(agent, position, roundId);
          const decoded = malformed
            ? ({ ok: false, code: 'invalid_json', message: 'not JSON' } as const)
            : ({ ok: true, value } as const);
          const before = state.ballots;
          const { state: after, effects } = advance(state, { type: 'ballot', at, token, ballot: decoded });
          state = after;
          const verdicts = effects.filter((effect) => effect.type === 'counted' || effect.type === 'rejected');
          expect(verdicts).toHaveLength(1);
          const [verdict] = verdicts;
          if (verdict?.type === 'rejected') {
            seen.add(verdict.reason);
            expect(state.ballots).toEqual(before);
          } else {
            expect(state.ballots).toEqual([...before, value]);
            expect({ malformed, agent, roundId }).toEqual({ malformed: false, agent: token, roundId: 'round' });
            expect(at).toBeLessThan(DEADLINE_AT);
          }
        }
        const voters = state.ballots.map((counted) => counted.agent);
        expect(new Set(voters).size).toBe(voters.length);
        for (const counted of state.ballots) {
          expect(setting.roster).toContain(counted.agent);
          expect(['a', 'b', 'abstain']).toContain(counted.position);
        }
      }),
      { numRuns: 2_000 },
    );
    const reasons = [
      'agent_mismatch',
      'contradiction',
      'duplicate',
      'late',
      'malformed',
      'off_roster',
      'unknown_position',
    ];
    expect([...seen].toSorted()).toEqual([...reasons, 'wrong_round']);
  });

  it('a decided round never changes (I7)', () => {
    fc.assert(
      fc.property(fc.array(anyBallot, { maxLength: 20 }), (noise) => {
        const decided = advance(open(setting).state, { type: 'deadline', at: DEADLINE_AT }).state;
        let state = decided;
        for (const { token, position } of noise) {
          const value = ballot(token, position);
          state = advance(state, { type: 'ballot', at: OPENED_AT, token, ballot: { ok: true, value } }).state;
          state = advance(state, { type: 'nudge', at: OPENED_AT }).state;
          state = advance(state, { type: 'deadline', at: DEADLINE_AT + 1 }).state;
        }
        expect(state).toEqual(decided);
      }),
      { numRuns: 200 },
    );
  });
});

describe('weights', () => {
  it('make the same outcome and the same scores in every order, to the last digit', () => {
    const weight = fc.oneof(
      fc.double({ min: 0, max: 1e6, noNaN: true }),
      fc.constantFrom(0.1, 0.2, 0.3, 1e-7, 1e21, 5e-324),
    );
    const rounds = fc.array(fc.tuple(weight, fc.constantFrom('a', 'b')), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(rounds, (votes) => {
        const roster = votes.map((_, index) => `v${index}`);
        const weights = Object.fromEntries(votes.map(([each], index) => [`v${index}`, each]));
        const constituted = constitute({ method: 'weighted', weights }, roster, ['a', 'b']);
        if (!constituted.ok) throw new Error(constituted.message);
        const casts = votes.map(([, position], index) => ({ agent: `v${index}`, position }));
        const reference = judge(constituted.electorate, casts);
        for (const order of permutations(casts)) expect(judge(constituted.electorate, order)).toEqual(reference);
      }),
      { numRuns: 200 },
    );
  });
});
