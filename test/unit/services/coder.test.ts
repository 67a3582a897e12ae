import { describe, expect, test } from 'vitest';
import { manifest, writeBrief } from '../../../services/coder/handler.ts';
import { fakeContext } from '../../support/fake-context.ts';

const FACTS = [
  { statement: 'The bridge opened in 1932', quote: 'The bridge opened in 1932.' },
  { statement: 'Eight lanes', quote: 'It carries eight lanes.' },
];
const BRIEF = {
  title: 'Bridge',
  summary: 'A bridge.',
  statements: [{ text: 'It opened in 1932.', quote: 'The bridge opened in 1932.' }],
};

const replies = { brief: () => BRIEF };

describe('code', () => {
  test('writes a brief of the facts that its dependencies found, and says whether a simulated model wrote it', async () => {
    const { context, asked } = fakeContext({
      description: 'Write it',
      input: undefined,
      dependencies: { t1: { facts: FACTS, source: {} } },
      replies,
      offline: false,
    });
    expect(await writeBrief(context)).toEqual({ ...BRIEF, offline: false });
    expect(asked).toMatchObject([{ name: 'brief', user: { description: 'Write it', facts: FACTS } }]);
    expect(asked[0]?.user).not.toHaveProperty('reasons');
  });

  test('the model is told which parts are missing', async () => {
    const failures = [{ taskId: 't2', description: 'The figures', error: { code: 'no_facts', message: 'none found' } }];
    const { context, asked } = fakeContext({
      input: undefined,
      dependencies: { t1: { facts: FACTS } },
      failures,
      replies,
    });
    await writeBrief(context);
    expect(asked[0]?.user).toMatchObject({ missing: ['The figures'] });
  });

  test('facts of several dependencies are one list; a passage counts once', async () => {
    const again = { facts: [{ statement: 'Lanes: eight', quote: 'It carries eight lanes.' }] };
    const brief = { brief: { statements: [{ text: 'Tall', quote: 'It is 134 m tall.' }] } };
    const { context, asked } = fakeContext({
      input: undefined,
      dependencies: { t1: { facts: FACTS }, t2: again, t3: brief, t4: 'noise' },
      replies,
    });
    await writeBrief(context);
    expect(asked[0]?.user['facts']).toEqual([
      FACTS[0],
      { statement: 'Lanes: eight', quote: 'It carries eight lanes.' },
      { statement: 'Tall', quote: 'It is 134 m tall.' },
    ]);
  });

  test('what voters did not like goes into the question', async () => {
    const { context, asked } = fakeContext({
      input: undefined,
      dependencies: { t1: { facts: FACTS } },
      reasons: ['figures: 1933 is wrong'],
      replies,
    });
    await writeBrief(context);
    expect(asked[0]?.user['reasons']).toEqual(['figures: 1933 is wrong']);
  });

  test('the newest reasons stay when there are many', async () => {
    const reasons = Array.from({ length: 40 }, (_, at) => `reason ${at}`);
    const { context, asked } = fakeContext({
      input: undefined,
      dependencies: { t1: { facts: FACTS } },
      reasons,
      replies,
    });
    await writeBrief(context);
    expect(asked[0]?.user['reasons']).toEqual(reasons.slice(-12));
  });

  test('without facts the sentences of the text are the facts', async () => {
    const { context, asked } = fakeContext({
      input: undefined,
      goal: { input: { text: 'One runs\non. Two.' } },
      dependencies: { t1: { facts: [] } },
      replies,
    });
    await writeBrief(context);
    expect(asked[0]?.user['facts']).toEqual([
      { statement: 'One runs on.', quote: 'One runs on.' },
      { statement: 'Two.', quote: 'Two.' },
    ]);
  });

  test('with nothing to work on it fails for good', async () => {
    const { context } = fakeContext({ input: undefined, goal: { description: ' ' }, replies });
    await expect(writeBrief(context)).rejects.toMatchObject({ code: 'no_facts', retry: false });
  });

  test('facts are bounded in number and length, and a cut quote is still a part of the original', async () => {
    const quote = `${'a'.repeat(999)}\u{1f600}${'b'.repeat(50)}`;
    const facts = Array.from({ length: 300 }, (_, at) => ({
      statement: `fact ${at}`,
      quote: at === 0 ? quote : `quote ${at}`,
    }));
    const { context, asked } = fakeContext({ input: undefined, dependencies: { t1: { facts } }, replies });
    await writeBrief(context);
    const sent = asked[0]?.user['facts'];
    expect(sent).toHaveLength(100);
    expect(sent).toMatchObject([
      { quote: 'a'.repeat(999) },
      { quote: 'quote 1' },
      ...Array.from({ length: 98 }, () => ({})),
    ]);
  });

  test('a brief that goes on and on is cut off, and what it returns fits its contract', async () => {
    const endless = { ...BRIEF, statements: Array.from({ length: 500 }, (_, at) => ({ text: `${at}`, quote: '' })) };
    const { context } = fakeContext({
      input: undefined,
      dependencies: { t1: { facts: FACTS } },
      replies: { brief: () => endless },
    });
    const brief = await writeBrief(context);
    expect(brief.statements).toHaveLength(40);
    expect(manifest.capabilities['code']?.output.safeParse(brief).success).toBe(true);
  });
});
