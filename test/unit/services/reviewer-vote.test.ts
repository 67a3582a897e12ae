import { describe, expect, test } from 'vitest';
import { manifestWith } from '../../../services/reviewer/handler.ts';
import { judge } from '../../../services/reviewer/vote.ts';
import { fakeVoter, type Reply, voteRequest } from '../../support/fake-context.ts';

const TEXT = 'The bridge opened in 1932. It carries 8 lanes.';
const BRIEF = {
  title: 'Bridge',
  summary: '',
  statements: [{ text: 'It opened in 1932.', quote: 'The bridge opened in 1932.' }],
};
const INVENTED = { ...BRIEF, statements: [{ text: 'It is red.', quote: 'The bridge is red.' }] };

function says(position: string, rationale = 'as it is'): Record<string, Reply> {
  return { ballot: () => ({ position, confidence: 0.8, rationale }) };
}

function contextOf(result: unknown, more: { readonly reasons?: string[] } = {}): unknown {
  const goal = { description: 'Brief it', input: { text: TEXT } };
  return { description: 'Write a brief', result, dependencies: {}, goal, ...more };
}

describe('a ballot', () => {
  test('is the model’s, under the name of the criterion', async () => {
    const { context, asked } = fakeVoter({ replies: says('approve') });
    expect(await judge('support', voteRequest(contextOf(BRIEF)), context)).toEqual({
      position: 'approve',
      confidence: 0.8,
      rationale: 'support: as it is',
    });
    expect(asked).toMatchObject([
      {
        name: 'ballot',
        system: expect.stringContaining('support'),
        user: {
          proposal: 'Write a brief',
          criteria: 'support',
          text: TEXT,
          statements: BRIEF.statements,
          options: ['approve', 'reject'],
        },
      },
    ]);
  });

  test.each(['support', 'figures', 'economy'] as const)(
    '%s: approval of an invented quote is overruled by code',
    async (criterion) => {
      const { context, logged } = fakeVoter({ replies: says('approve') });
      expect(await judge(criterion, voteRequest(contextOf(INVENTED)), context)).toEqual({
        position: 'reject',
        confidence: 1,
        rationale: `${criterion}: the text does not contain the quote of "It is red."`,
      });
      expect(logged).toMatchObject([{ level: 'warn', fields: { event: 'vote.overruled', criterion } }]);
    },
  );

  test.each(['reject', 'abstain'])('%s of the model stands, fault or not', async (position) => {
    const { context, logged } = fakeVoter({ replies: says(position) });
    expect(await judge('support', voteRequest(contextOf(INVENTED)), context)).toMatchObject({
      position,
      rationale: 'support: as it is',
    });
    expect(logged).toEqual([]);
  });

  test('without a configured criterion the agentId decides, also through the manifest', async () => {
    const criteria = new Set<unknown>();
    for (const agentId of ['reviewer-1', 'reviewer-2', 'reviewer-3', 'reviewer-4']) {
      const { context, asked } = fakeVoter({ agentId, replies: says('approve') });
      await manifestWith(undefined).vote?.(voteRequest(contextOf(BRIEF)), context);
      criteria.add(asked[0]?.user['criteria']);
    }
    expect(criteria.size).toBeGreaterThan(1);
  });

  test('earlier reasons are told', async () => {
    const { context, asked } = fakeVoter({ replies: says('approve') });
    await judge('support', voteRequest(contextOf(BRIEF, { reasons: ['figures: 1933'] })), context);
    expect(asked[0]?.user['reasons']).toEqual(['figures: 1933']);
  });

  test('a result of another form is judged word by word against all that its maker was given; code finds no fault with it', async () => {
    const { context, asked } = fakeVoter({ replies: says('approve') });
    const result = { answer: 42, notes: ['computed', { by: 'hand' }], empty: '' };
    const request = voteRequest({
      description: 'Compute',
      input: { a: 6, b: 7 },
      result,
      dependencies: { t1: 'six times seven' },
      goal: { description: 'Find the answer' },
    });
    expect(await judge('figures', request, context)).toMatchObject({ position: 'approve' });
    expect(asked[0]?.user).toMatchObject({
      proposal: `Compute\n\n${JSON.stringify(result)}`,
      text: 'Find the answer\nCompute\n6\n7\nsix times seven',
      statements: ['42', 'computed', 'hand'].map((text) => ({ text, quote: '' })),
    });
  });

  test('without a source text a brief stands up to what its maker was given', async () => {
    const found = { facts: [{ statement: 'Opened', quote: 'It "opened"\nin 1932.' }] };
    const made = { title: '', summary: '', statements: [{ text: 'Opened in 1932', quote: 'It "opened" in 1932.' }] };
    const request = (dependencies: unknown) =>
      voteRequest({ description: 'Write', result: made, dependencies, goal: { description: 'Brief it' } });
    const { context } = fakeVoter({ replies: says('approve') });
    expect(await judge('figures', request({ t1: found }), context)).toMatchObject({ position: 'approve' });
    expect(await judge('figures', request({}), context)).toMatchObject({ position: 'reject' });
  });

  test.each([
    { name: 'of another form', result: Array.from({ length: 50_000 }, () => 'x'.repeat(20)) },
    {
      name: 'with many statements',
      result: { statements: Array.from({ length: 5_000 }, () => ({ text: 'x', quote: 'y' })) },
    },
    {
      name: 'with long statements',
      result: { statements: [{ text: 'x'.repeat(500_000), quote: 'y'.repeat(500_000) }] },
    },
  ])('a huge result $name makes a bounded question and a bounded ballot', async ({ result }) => {
    const { context, asked } = fakeVoter({ replies: says('approve') });
    const { rationale } = await judge('support', voteRequest({ description: 'Compute', result }), context);
    expect(JSON.stringify(asked[0]?.user).length).toBeLessThan(60_000);
    expect(rationale?.length).toBeLessThanOrEqual(2_000);
  });

  test('any proposal with any options can be put to a reviewer', async () => {
    const { context, asked } = fakeVoter({ replies: says('b') });
    expect(await judge('support', voteRequest(undefined, ['a', 'b']), context)).toMatchObject({ position: 'b' });
    expect(asked[0]?.user).toMatchObject({ proposal: 'Accept the result?', options: ['a', 'b'] });
    expect(asked[0]?.user).not.toHaveProperty('text');
    const { context: other } = fakeVoter({ replies: says('approve') });
    await expect(judge('support', voteRequest(undefined, ['a', 'b']), other)).rejects.toMatchObject({
      code: 'invalid_output',
    });
  });

  test('what was sent along with a bare proposal is what it is judged by', async () => {
    const { context, asked } = fakeVoter({ replies: says('approve') });
    await judge('support', voteRequest({ text: 'material' }), context);
    await judge('support', voteRequest(['other', 'material']), context);
    expect(asked.map(({ user }) => user['text'])).toEqual(['material', '["other","material"]']);
  });

  test('a fault in a round that offers no rejection is an abstention', async () => {
    const { context } = fakeVoter({ replies: says('approve') });
    expect(await judge('support', voteRequest(contextOf(INVENTED), ['approve']), context)).toMatchObject({
      position: 'abstain',
    });
  });

  test('a result that is only a reference is not judged', async () => {
    const { context, asked } = fakeVoter();
    expect(await judge('support', voteRequest(contextOf({ $blob: 'name' })), context)).toMatchObject({
      position: 'abstain',
    });
    expect(asked).toEqual([]);
  });
});
