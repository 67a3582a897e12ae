import { describe, expect, test } from 'vitest';
import { manifest, research } from '../../../services/researcher/handler.ts';
import { passageOf, portionsOf, sentencesIn } from '../../../services/researcher/quotes.ts';
import { fakeContext, type Reply } from '../../support/fake-context.ts';

const TEXT = 'The bridge opened in 1932.\nIt carries eight lanes,\nand two tracks. Painters never finish it.';

function factsOf(...quotes: string[]) {
  return { facts: quotes.map((quote) => ({ statement: `says: ${quote}`, quote })) };
}

describe('research', () => {
  test('keeps the facts whose quote is in the text, as it is written there, and logs the others', async () => {
    const reply = () =>
      factsOf('The bridge opened in 1932.', 'It carries eight lanes, and two tracks.', 'It was opened by a king.');
    const { context, asked, logged } = fakeContext({
      description: 'About the bridge',
      input: { text: TEXT },
      replies: { facts: reply },
    });
    expect(await research(context)).toEqual({
      facts: [
        { statement: 'says: The bridge opened in 1932.', quote: 'The bridge opened in 1932.' },
        {
          statement: 'says: It carries eight lanes, and two tracks.',
          quote: 'It carries eight lanes,\nand two tracks.',
        },
      ],
      source: { characters: TEXT.length, sentences: 3 },
    });
    expect(asked.map(({ user }) => user)).toEqual([{ description: 'About the bridge', text: TEXT }]);
    expect(logged).toMatchObject([
      { level: 'warn', fields: { event: 'fact.dropped', quote: 'It was opened by a king.' } },
    ]);
  });

  test('an attempt without a supported fact fails and may be tried again', async () => {
    const { context } = fakeContext({
      input: { text: TEXT },
      replies: { facts: () => factsOf('nothing of that', ' ') },
    });
    await expect(research(context)).rejects.toMatchObject({ code: 'no_facts', retry: true });
  });

  test.each([
    { name: 'its own text first', input: { text: 'own' }, goal: { input: { text: 'goal' } }, text: 'own' },
    { name: 'a string as input', input: 'own', goal: {}, text: 'own' },
    { name: 'then the text of the goal', input: { depth: 3 }, goal: { input: { text: 'goal' } }, text: 'goal' },
    {
      name: 'then its input of any other form',
      input: undefined,
      goal: { input: { pages: 7 } },
      text: '{\n "pages": 7\n}',
    },
    {
      name: 'then what it says of itself',
      input: { text: ' \n' },
      goal: { input: ' ', description: 'said' },
      text: 'said',
    },
  ])('reads $name', async ({ input, goal, text }) => {
    const { context, asked } = fakeContext({
      description: 'described',
      input,
      goal,
      replies: { facts: () => factsOf(text) },
    });
    await research(context);
    expect(asked[0]?.user['text']).toBe(text);
  });

  test('a long text is read in portions, and what is left unread is said', async () => {
    const sentence = `${'word '.repeat(19)}end. `;
    const text = sentence.repeat(2_500);
    const { context, asked } = fakeContext({
      input: { text },
      replies: { facts: ({ user }) => factsOf(String(user['text']).slice(0, 30)) },
    });
    const found = await research(context);
    expect(asked).toHaveLength(8);
    expect(found.source.characters).toBe(text.length);
    expect(found.source.read).toBe(asked.reduce((sum, { user }) => sum + String(user['text']).length, 0));
    expect(found.source.read).toBeLessThan(text.length);
    expect(asked.map(({ user }) => user['text']).join('')).toBe(text.slice(0, found.source.read));
  });

  test('what a model claims for one portion must stand in that portion', async () => {
    const text = `${'first '.repeat(4_000)}\n\n${'second '.repeat(100)}`;
    const reply: Reply = (_, time) => factsOf(time === 1 ? 'second second' : 'second');
    const { context } = fakeContext({ input: { text }, replies: { facts: reply } });
    expect((await research(context)).facts.map((fact) => fact.quote)).toEqual(['second']);
  });

  test('the contract: text, a string or nothing', () => {
    const input = manifest.capabilities['research']?.input;
    for (const fits of [undefined, null, 'text', { text: 'text' }, { other: 1 }])
      expect(input?.safeParse(fits).success).toBe(true);
    for (const misfit of [7, ['text'], { text: 7 }]) {
      expect(input?.safeParse(misfit).error?.issues[0]?.message).toMatch(/^expected a text/);
    }
  });
});

describe('passages', () => {
  test.each([
    { quote: 'eight   lanes', passage: 'eight lanes' },
    { quote: ' lanes, and ', passage: 'lanes,\nand' },
    { quote: '1932. It', passage: '1932.\nIt' },
    { quote: 'Eight lanes', passage: undefined },
    { quote: '   ', passage: undefined },
  ])('$quote', ({ quote, passage }) => {
    expect(passageOf(TEXT, quote)).toBe(passage);
  });

  test('a passage is always a part of the text', () => {
    const text = '\t a \u00a0\n b  c\u2028d ';
    for (const quote of ['a b', 'b c d', 'a  b   c']) expect(text).toContain(passageOf(text, quote) ?? 'nothing');
  });

  test('sentences: a line break inside a paragraph ends none', () => {
    expect(sentencesIn('One runs\nover lines. Two.\n\nThree')).toBe(3);
    expect(sentencesIn('  ')).toBe(0);
  });

  test('portions lose nothing and end where a reader would pause', () => {
    const text = 'First part. Second part.\n\nThird part without any end but words';
    expect(portionsOf(text, 30)).toEqual(['First part. Second part.\n\n', 'Third part without any end ', 'but words']);
    expect(portionsOf('x'.repeat(25), 10)).toEqual(['x'.repeat(10), 'x'.repeat(10), 'x'.repeat(5)]);
    expect(portionsOf(' \n ', 10)).toEqual([]);
  });
});
