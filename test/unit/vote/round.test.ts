import { describe, expect, it } from 'vitest';
import { advance, openRound, type RoundEffect, type RoundInput, type RoundState } from '../../../shared/core/round.ts';
import type { VoteRule } from '../../../shared/protocol/vote.ts';
import { ballotOf } from './fixture.ts';

const OPENED_AT = 1_000;
const DEADLINE_AT = 2_000;

class Round {
  state: RoundState;
  effects: readonly RoundEffect[];

  constructor(rule: VoteRule, roster: readonly string[]) {
    const spec = { roundId: 'round', options: ['a', 'b'], rule, roster, deadlineAt: DEADLINE_AT };
    const opened = openRound(spec, OPENED_AT);
    if (!opened.ok) throw new Error(opened.message);
    this.state = opened.state;
    this.effects = opened.effects;
  }

  feed(input: RoundInput): readonly RoundEffect[] {
    const { state, effects } = advance(this.state, input);
    this.state = state;
    return effects;
  }

  vote(agent: string, position: string, at = OPENED_AT + 1): readonly RoundEffect[] {
    return this.feed({ type: 'ballot', at, token: agent, ballot: { ok: true, value: ballotOf(agent, position) } });
  }
}

const asksOf = (effects: readonly RoundEffect[]) =>
  effects.filter((effect) => effect.type === 'ask').map(({ voters }) => voters);

describe('a round', () => {
  it('asks the whole roster at once, and ends with the ballot that settles it', () => {
    const round = new Round({ method: 'majority' }, ['v1', 'v2', 'v3']);
    expect(round.effects).toEqual([{ type: 'ask', voters: ['v1', 'v2', 'v3'], again: false }]);
    round.vote('v1', 'a');
    const effects = round.vote('v2', 'a');
    expect(effects.map(({ type }) => type)).toEqual(['counted', 'decided']);
    expect(round.state).toMatchObject({ phase: 'decided', outcome: { consensus: true, position: 'a', votes: 2 } });
  });

  it('is decided without asking anybody when the quorum is out of reach', () => {
    const round = new Round({ method: 'majority', quorum: 4 }, ['v1', 'v2', 'v3']);
    expect(round.effects).toEqual([{ type: 'decided', outcome: { consensus: false, reason: 'insufficient_votes' } }]);
  });

  it('counts no ballot that comes at or after the deadline, even when its timer is late, and ends there', () => {
    const round = new Round({ method: 'majority' }, ['v1', 'v2', 'v3']);
    round.vote('v1', 'a');
    const effects = round.vote('v2', 'a', DEADLINE_AT);
    expect(effects).toMatchObject([{ type: 'rejected', reason: 'late' }, { type: 'decided' }]);
    expect(round.state).toMatchObject({ phase: 'decided', outcome: { reason: 'insufficient_votes' } });
  });

  it('names what is wrong with a ballot', () => {
    const round = new Round({ method: 'majority' }, ['v1', 'v2', 'v3']);
    round.vote('v1', 'a');
    expect(round.vote('v1', 'b')).toEqual([
      { type: 'rejected', reason: 'contradiction', token: 'v1', detail: 'v1 voted a first, then b' },
    ]);
    const value = ballotOf('v2', 'a');
    expect(round.feed({ type: 'ballot', at: 1_001, token: 'v3', ballot: { ok: true, value } })).toMatchObject([
      { reason: 'agent_mismatch', detail: 'it says agent v2, but came under the token v3' },
    ]);
    // A ballot that is not valid takes nothing away from the voter's valid one.
    expect(round.vote('v2', 'z')).toMatchObject([{ reason: 'unknown_position' }]);
    expect(round.vote('v2', 'a')).toMatchObject([{ type: 'counted' }, { type: 'decided' }]);
  });

  it('asks again only those who have not answered, and only once', () => {
    const round = new Round({ method: 'majority' }, ['v1', 'v2', 'v3']);
    round.vote('v2', 'a');
    expect(asksOf(round.feed({ type: 'nudge', at: 1_300 }))).toEqual([['v1', 'v3']]);
    expect(round.feed({ type: 'nudge', at: 1_301 })).toEqual([]);
  });
});

it('ends at the deadline, whichever of its timers comes first', () => {
  const round = new Round({ method: 'majority' }, ['v1', 'v2', 'v3']);
  expect(round.feed({ type: 'nudge', at: DEADLINE_AT }).map(({ type }) => type)).toEqual(['decided']);
  expect(round.feed({ type: 'deadline', at: DEADLINE_AT })).toEqual([]);
});

describe('ahead-by-k', () => {
  const roster = ['v1', 'v2', 'v3', 'v4', 'v5', 'v6', 'v7'];

  it('asks first as many as the quorum takes, though fewer would make the lead', () => {
    const round = new Round({ method: 'ahead-by-k' }, roster);
    expect(asksOf(round.effects)).toEqual([['v1', 'v2', 'v3', 'v4']]);
  });

  it('asks nobody who has voted without being asked', () => {
    const round = new Round({ method: 'ahead-by-k', k: 2, quorum: 2 }, roster);
    expect(asksOf(round.vote('v3', 'a'))).toEqual([]);
    // One against the other: a lead of two takes v2 and one more, who is not v3.
    expect(asksOf(round.vote('v1', 'b'))).toEqual([['v4']]);
  });

  it('asks in waves of the fewest voters that can decide', () => {
    const round = new Round({ method: 'ahead-by-k', k: 2, quorum: 2 }, roster);
    expect(asksOf(round.effects)).toEqual([['v1', 'v2']]);
    // One against the other: a lead of two takes two more for one side.
    round.vote('v1', 'a');
    expect(asksOf(round.vote('v2', 'b'))).toEqual([['v3', 'v4']]);
    expect(asksOf(round.vote('v3', 'a'))).toEqual([]);
    expect(round.vote('v4', 'a').map(({ type }) => type)).toEqual(['counted', 'decided']);
  });

  it('asks the next wave as soon as those who were asked cannot decide any more', () => {
    const round = new Round({ method: 'ahead-by-k', k: 3, quorum: 3 }, roster);
    expect(asksOf(round.effects)).toEqual([['v1', 'v2', 'v3']]);
    expect(asksOf(round.vote('v1', 'abstain'))).toEqual([['v4']]);
  });

  it('lets silent voters hold a wave up only until the nudge', () => {
    const round = new Round({ method: 'ahead-by-k', k: 2, quorum: 2 }, roster);
    round.vote('v1', 'a');
    expect(asksOf(round.feed({ type: 'nudge', at: 1_300 }))).toEqual([['v2', 'v3', 'v4', 'v5', 'v6', 'v7']]);
  });

  it('ends undecided when the roster is exhausted', () => {
    const round = new Round({ method: 'ahead-by-k', k: 2, quorum: 1 }, ['v1', 'v2']);
    round.vote('v1', 'a');
    round.vote('v2', 'b');
    expect(round.state).toMatchObject({ phase: 'decided', outcome: { consensus: false, reason: 'tie' } });
  });
});
