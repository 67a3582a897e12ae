import { describe, expect, it } from 'vitest';
import { faultOf } from '../../../shared/core/recount.ts';
import type { RoundRecord } from '../../../shared/protocol/vote.ts';
import { ballotOf } from './fixture.ts';

const record: RoundRecord = {
  roundId: 'round',
  proposal: 'Ship it',
  options: ['approve', 'reject'],
  rule: { method: 'majority' },
  roster: ['v1', 'v2', 'v3'],
  ballots: [ballotOf('v1', 'approve'), ballotOf('v2', 'reject'), ballotOf('v3', 'approve')],
  consensus: true,
  position: 'approve',
  votes: 2,
  correlationId: 'c',
  openedAt: '2030-01-01T00:00:00.000Z',
  decidedAt: '2030-01-01T00:00:01.000Z',
};
const split = { ballots: [ballotOf('v1', 'approve'), ballotOf('v2', 'reject')] };

describe('a decision, counted again', () => {
  it('is borne out by its ballots', () => {
    expect(faultOf(record, record.rule)).toBeUndefined();
    const { position: _position, votes: _votes, ...undecided } = record;
    const lost: RoundRecord = { ...undecided, ...split, consensus: false, reason: 'no_majority' };
    expect(faultOf(lost, record.rule)).toBeUndefined();
    const abstained = {
      ...record,
      ballots: [...record.ballots.slice(0, 1), ballotOf('v2', 'abstain'), ballotOf('v3', 'approve')],
    };
    expect(faultOf(abstained, record.rule)).toBeUndefined();
  });

  it.each<[string, Partial<RoundRecord>, RegExp]>([
    ['claims another winner', { position: 'reject' }, /says "reject", its ballots say "approve"/],
    ['claims a winner without a majority', split, /says "approve", its ballots say no_majority/],
    ['counts nobody', { ballots: [] }, /says "approve", its ballots say insufficient_votes/],
    ['counts a voter twice', { ballots: [ballotOf('v1', 'approve'), ballotOf('v1', 'approve')] }, /twice/],
    ['counts a stranger', { ballots: [...record.ballots, ballotOf('eve', 'approve')] }, /eve .* not in the roster/],
    ['counts what is no option', { ballots: [...record.ballots.slice(1), ballotOf('v1', 'maybe')] }, /no option/],
    ['was held without options', { options: [] }, /options/],
  ])('is at fault when it %s', (_what, change, fault) => {
    expect(faultOf({ ...record, ...change }, record.rule)).toMatch(fault);
  });

  it('is at fault when it calls a winner a failure by the same name', () => {
    const ballots = ['v1', 'v2', 'v3'].map((agent) => ballotOf(agent, 'tie'));
    const { position: _position, votes: _votes, ...undecided } = record;
    const named: RoundRecord = { ...undecided, options: ['tie', 'win'], ballots, consensus: false, reason: 'tie' };
    expect(faultOf(named, record.rule)).toMatch(/says tie, its ballots say "tie"/);
  });

  it('is counted by the rule that it should have followed, not by its own', () => {
    const lax: RoundRecord = { ...record, ...split, rule: { method: 'majority', quorum: 1 } };
    expect(faultOf(lax, { method: 'majority' })).toMatch(/its ballots say no_majority/);
  });
});
