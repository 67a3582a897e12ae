import { describe, expect, it } from 'vitest';
import { inAll, talkOf } from '../../shared/runtime/engine/talk.ts';

describe('what a round says', () => {
  it('is its requests and a ballot of each voter, those that came after the decision at the mean of the others', () => {
    const talk = talkOf(5, 1_000, 1);
    expect(talk.said()).toEqual({ vote: { messages: 0, bytes: 0 }, ballot: { messages: 0, bytes: 0 } });
    talk.onSaid({ type: 'vote', bytes: 1_100, voters: 5, again: false });
    for (const bytes of [100, 200, 301]) talk.onSaid({ type: 'ballot', bytes });
    const said = { vote: { messages: 1, bytes: 1_100 }, ballot: { messages: 5, bytes: 601 + 2 * 201 } };
    expect(talk.said()).toEqual(said);
    expect(inAll(said)).toEqual({ messages: 6, bytes: 2_103 });
  });

  it('counts a request to those who did not answer, and word that it is over, and their ballots once', () => {
    const talk = talkOf(3, 1_000, 1);
    talk.onSaid({ type: 'vote', bytes: 1_100, voters: 3, again: false });
    talk.onSaid({ type: 'ballot', bytes: 100 });
    talk.onSaid({ type: 'vote', bytes: 1_090, voters: 2, again: true });
    talk.onSaid({ type: 'ballot', bytes: 100 });
    talk.onSaid({ type: 'vote', bytes: 300, voters: 0, again: true });
    expect(talk.said()).toEqual({ vote: { messages: 3, bytes: 2_490 }, ballot: { messages: 3, bytes: 300 } });
  });

  it('is never charged for more than was reserved (I4)', () => {
    const talk = talkOf(2, 100, 3);
    for (let discussion = 1; discussion <= 5; discussion += 1) {
      talk.onSaid({ type: 'vote', bytes: 1_000_000, voters: 2, again: false });
      for (let ballot = 0; ballot < 4; ballot += 1) talk.onSaid({ type: 'ballot', bytes: 500_000 });
    }
    const { vote, ballot } = talk.said();
    expect(vote).toEqual({ messages: 5, bytes: talk.most.vote.bytes });
    expect(ballot).toEqual(talk.most.ballot);
  });
});
