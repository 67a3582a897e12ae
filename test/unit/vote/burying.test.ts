import { describe, expect, it } from 'vitest';
import type { DeadLetter } from '../../../shared/protocol/dead.ts';
import { buryingBallots, buryingRequests } from '../../../shared/runtime/vote/burying.ts';

function burial() {
  const put: { readonly letter: DeadLetter; readonly dedupe: string }[] = [];
  const counted: string[] = [];
  const deps = {
    dead: { put: async (letter: DeadLetter, dedupe: string) => void put.push({ letter, dedupe }) },
    clock: { now: () => 0, after: () => () => undefined },
    events: { deadLetter: (_: 'vote', code: string) => void counted.push(code), engineError: () => undefined },
  };
  return { put, counted, deps };
}

const nothing = () => undefined;
const voter = { ignored: nothing, answered: nothing, failed: nothing };
const round = { asked: nothing, counted: nothing, rejected: nothing, ended: nothing, decided: nothing };
const message = {
  subject: 'mesh.vote.review',
  data: new TextEncoder().encode('{'),
  reply: undefined,
  header: () => undefined,
};

describe('dead letters of votes', () => {
  it('are written for requests that are none, once for all voters that got the same', async () => {
    const { put, counted, deps } = burial();
    for (let each = 0; each < 3; each += 1)
      buryingRequests(voter, deps).ignored({ reason: 'malformed', message, detail: 'no JSON' });
    await Promise.resolve();
    expect(put).toHaveLength(3);
    expect(new Set(put.map(({ dedupe }) => dedupe)).size).toBe(1);
    expect(put[0]?.letter).toMatchObject({
      origin: 'vote',
      subject: 'mesh.vote.review',
      reason: { code: 'vote_malformed', message: 'no JSON' },
      payload: Buffer.from('{').toString('base64'),
    });
    expect(counted).toEqual(['vote_malformed', 'vote_malformed', 'vote_malformed']);
  });

  it('are not written for what is a matter of course', () => {
    const { put, deps } = burial();
    const requests = buryingRequests(voter, deps);
    for (const reason of ['not_in_roster', 'deadline_passed', 'in_progress', 'overloaded', 'over', 'stopping'] as const)
      requests.ignored({ reason, message, detail: '' });
    const ballots = buryingBallots(round, deps);
    const of = { roundId: 'r', correlationId: 'c', token: 'ann', detail: '', message };
    for (const reason of ['late', 'duplicate', 'off_roster'] as const) ballots.rejected({ ...of, reason });
    expect(put).toEqual([]);
    ballots.rejected({ ...of, reason: 'agent_mismatch' });
    expect(put.map(({ letter }) => letter.reason.code)).toEqual(['ballot_agent_mismatch']);
  });
});
