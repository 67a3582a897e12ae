import { describe, expect, it } from 'vitest';
import { encode } from '../../../shared/protocol/codec.ts';
import { isId } from '../../../shared/protocol/ids.ts';
import { discussionId } from '../../../shared/runtime/vote/discussion.ts';
import { ballotOf, mesh, subjects } from './fixture.ts';

describe('discussion', () => {
  const rule = { method: 'majority', maxRounds: 2 } as const;
  const roster = ['v1', 'v2'];
  const second = discussionId('round', 2);

  it('repeats an undecided round with what was said, under an id of its own, and stores one decision', async () => {
    const { hold, cast, requests, dag } = mesh();
    const held = await hold({ rule, roster, context: { result: 42 } });
    await cast(ballotOf('v1', 'approve', { rationale: 'sound' }), 'v1');
    await cast(ballotOf('v2', 'reject', { rationale: 'too short' }), 'v2');
    const [, request] = requests();
    expect(request).toMatchObject({ roundId: second, roster, options: ['approve', 'reject'] });
    expect(request?.context).toEqual({
      result: 42,
      discussion: [
        { agent: 'v1', position: 'approve', rationale: 'sound' },
        { agent: 'v2', position: 'reject', rationale: 'too short' },
      ],
    });
    await cast(ballotOf('v1', 'reject', { roundId: second }), 'v1', second);
    await cast(ballotOf('v2', 'reject', { roundId: second }), 'v2', second);
    expect(await held.result).toMatchObject({ roundId: 'round', consensus: true, position: 'reject', votes: 2 });
    expect(dag.stream.map(({ subject }) => subject)).toEqual([subjects.dagSubject('round.round')]);
  });

  it('is over after the last round, and within the deadline of the whole', async () => {
    const { hold, cast, requests, settle } = mesh();
    const held = await hold({ rule, roster });
    await cast(ballotOf('v1', 'approve'), 'v1');
    await settle();
    expect(requests().map(({ roundId }) => roundId)).toEqual(['round', 'round', second, second]);
    expect(await held.result).toMatchObject({ reason: 'insufficient_votes', decidedAt: '2030-01-01T00:00:03.000Z' });
  });

  it('does not go on when nobody said anything, or the quorum is out of reach', async () => {
    const { hold, requests, settle } = mesh();
    await hold({ rule, roster });
    await settle();
    await hold({ roundId: 'far', rule: { ...rule, quorum: 3 }, roster });
    await settle();
    expect(new Set(requests().map(({ roundId }) => roundId))).toEqual(new Set(['round']));
  });

  it('does not begin when the time is up, though a late timer ended the one before', async () => {
    const { hold, proposer, clock, cast, settle, requests } = mesh();
    const late = {
      now: () => clock.now(),
      after: (delayMs: number, run: () => void) => clock.after(delayMs + 9_000, run),
    };
    const held = await hold({ rule, roster }, { ...proposer, clock: late });
    await cast(ballotOf('v1', 'approve'), 'v1');
    await settle();
    expect(new Set(requests().map(({ roundId }) => roundId))).toEqual(new Set(['round']));
    expect(await held.result).toMatchObject({ reason: 'insufficient_votes' });
  });

  it('passes on at most 65,536 characters of what was said', async () => {
    const { hold, cast, requests } = mesh();
    await hold({ rule, roster });
    await cast(ballotOf('v1', 'approve', { rationale: 'a'.repeat(65_536) }), 'v1');
    await cast(ballotOf('v2', 'reject', { rationale: 'short' }), 'v2');
    expect(requests()[1]?.context).toEqual({
      discussion: [
        { agent: 'v1', position: 'approve', rationale: 'a'.repeat(32_768) },
        { agent: 'v2', position: 'reject', rationale: 'short' },
      ],
    });
  });

  it('does not begin when what was said does not fit beside the proposal', async () => {
    const { hold, cast, requests } = mesh();
    const held = await hold({ rule, roster, context: 'x'.repeat(950_000) });
    await cast(ballotOf('v1', 'approve', { rationale: 'a'.repeat(65_536) }), 'v1');
    await cast(ballotOf('v2', 'reject', { rationale: 'b'.repeat(65_536) }), 'v2');
    expect(await held.result).toMatchObject({ reason: 'no_majority' });
    expect(requests()).toHaveLength(1);
  });

  it('takes the decision that another proposer stored meanwhile', async () => {
    const { hold, cast, dag, requests } = mesh();
    const held = await hold({ rule, roster });
    await cast(ballotOf('v1', 'approve'), 'v1');
    const decided = {
      roundId: 'round',
      proposal: 'Ship it',
      options: ['approve', 'reject'],
      rule,
      roster,
      ballots: [],
      consensus: false,
      reason: 'insufficient_votes',
      correlationId: 'c-1',
      openedAt: '2030-01-01T00:00:00.000Z',
      decidedAt: '2030-01-01T00:00:00.001Z',
    };
    await dag.commit([{ subject: subjects.dagSubject('round.round'), data: encode(decided), expect: 0 }]);
    await cast(ballotOf('v2', 'reject'), 'v2');
    expect(await held.result).toEqual(decided);
    expect(requests()).toHaveLength(1);
  });

  it('has ids that are ids, apart for every round and discussion', () => {
    const long = 'x'.repeat(64);
    const rounds = ['r', 'r-d2', long, `${long.slice(1)}y`];
    const ids = rounds.flatMap((round) => Array.from({ length: 16 }, (_, index) => discussionId(round, index + 1)));
    expect(ids.every(isId)).toBe(true);
    expect(new Set(ids).size).toBe(ids.length);
  });
});
