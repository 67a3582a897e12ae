/** Ids of task rounds: bound to their question, found again by whoever asks the same, and of no use for asking anything else. */
import { describe, expect, it } from 'vitest';
import { encode } from '../../../shared/protocol/codec.ts';
import { isId } from '../../../shared/protocol/ids.ts';
import { VoteRequest } from '../../../shared/protocol/vote.ts';
import { discussionId, joined, parted, roundOf } from '../../../shared/runtime/vote/discussion.ts';
import { mayAsk, type Question, roundIds } from '../../../shared/runtime/vote/identity.ts';
import { OtherQuestion } from '../../../shared/runtime/vote/voter.ts';
import { voterMesh } from './voter-mesh.ts';

const question: Question = {
  goalId: 'goal',
  proposal: 'Accept the result of task "a"',
  options: ['approve', 'reject'],
  context: { result: { text: 'made' }, dependencies: { b: 1, a: 2 }, salt: 'random' },
};

describe('the id of a round about a result', () => {
  const roundId = roundIds(question)(1);

  it('is an id, the same for the same question, and another for each series', () => {
    const ids = [1, 2, 1_000].map(roundIds(structuredClone(question)));
    expect(ids.every(isId)).toBe(true);
    expect(new Set(ids).size).toBe(3);
    expect(ids[0]).toBe(roundId);
    expect(ids.map((id) => roundOf(discussionId(id, 16)))).toEqual(ids);
  });

  it.each([
    ['goal', { goalId: 'other' }],
    ['proposal', { proposal: 'Accept anything' }],
    ['options', { options: ['reject', 'approve'] }],
    ['result', { context: { result: { text: 'forged' }, dependencies: { b: 1, a: 2 }, salt: 'random' } }],
    ['salt', { context: { result: { text: 'made' }, dependencies: { b: 1, a: 2 }, salt: 'guess' } }],
    ['context', { context: undefined }],
  ])('asks nothing with another %s', (_what, change) => {
    expect(mayAsk(roundId, { ...question, ...change })).toBe(false);
    expect(mayAsk(roundId, question)).toBe(true);
  });

  it('says nothing of a question when it has another form', () => {
    for (const other of ['round', 'v-short-1', `${roundId}x`, `x${roundId}`])
      expect(mayAsk(other, question)).toBe(true);
  });

  it('survives the wire, also with a discussion beside, and with names that objects inherit', () => {
    const hostile = JSON.parse('{"__proto__": {"x": 1}, "constructor": 2, "7": 3, "a": [{"__proto__": 4}]}') as object;
    const asked = { ...question, context: { ...(question.context as object), result: hostile } } as Question;
    const id = roundIds(asked)(1);
    const sent = { ...asked, context: joined(asked.context, [{ agent: 'v1', position: 'reject' }]) };
    const wire = {
      rule: { method: 'majority' },
      roster: ['v1'],
      correlationId: 'c',
      deadline: '2030-01-01T00:00:00.000Z',
    };
    const text = new TextDecoder().decode(encode({ ...sent, ...wire, roundId: id }));
    const arrived = VoteRequest.parse(JSON.parse(text));
    expect(mayAsk(id, { ...arrived, context: parted(arrived.context).original })).toBe(true);
  });
});

describe('a voter that is asked something else under such an id', () => {
  it('gives no ballot, remembers none, and answers the real question', async () => {
    let asked = 0;
    const decide = () => {
      asked += 1;
      return asked === 1 ? Promise.reject(new OtherQuestion()) : Promise.resolve({ position: 'reject' });
    };
    const { ask, ballots, ignored, observer } = voterMesh({ decide });
    await ask({ proposal: 'Is 2 + 2 = 4?' });
    expect({ ballots: ballots(), ignored: ignored(), failures: observer.failures }).toEqual({
      ballots: [],
      ignored: ['other_question'],
      failures: [],
    });
    await ask();
    expect(ballots()).toEqual(['mesh.ballot.round.v1 reject']);
  });
});

describe('a context with a discussion beside it', () => {
  it.each([[undefined], [{ result: 1 }], [{}]])('%j comes apart again', (context) => {
    const apart = parted(joined(context, ['said']));
    expect(apart).toEqual({ original: context ?? {}, discussion: ['said'] });
  });

  it('without one is whole', () => {
    for (const context of [undefined, 'text', [1], { result: 1 }, { discussion: null }])
      expect(parted(context)).toEqual({ original: context });
  });
});
