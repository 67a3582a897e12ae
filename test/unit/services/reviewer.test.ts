import { describe, expect, test } from 'vitest';
import { CRITERIA, criterionFrom, criterionOf, violations } from '../../../services/reviewer/criteria.ts';
import { manifestWith, review } from '../../../services/reviewer/handler.ts';
import {
  briefOf,
  excerptFor,
  leavesOf,
  sentenceFinder,
  sourceOf,
  statementsIn,
} from '../../../services/reviewer/source.ts';
import { fakeContext } from '../../support/fake-context.ts';

const TEXT = 'The bridge opened\nin 1932. It carries 8 lanes and 1,250 cars a minute.\n\nPainters never finish it.';
const STATEMENTS = [
  { text: 'It opened in 1932.', quote: 'The bridge opened in 1932.' },
  { text: 'It has 8 lanes.', quote: 'It carries 8 lanes' },
];
const BRIEF = { title: 'Bridge', summary: 'A bridge.', statements: STATEMENTS };

describe('the criterion', () => {
  test('comes from REVIEW_CRITERION', () => {
    expect(criterionFrom('figures')).toEqual({ ok: true, criterion: 'figures' });
    expect(criterionFrom('')).toEqual({ ok: true, criterion: undefined });
    expect(criterionFrom(undefined)).toEqual({ ok: true, criterion: undefined });
    expect(criterionFrom('style')).toEqual({
      ok: false,
      message: 'REVIEW_CRITERION: expected support, figures, economy or nothing, got "style"',
    });
  });

  test('or from the agentId, always the same and spread over all', () => {
    const ids = Array.from({ length: 60 }, (_, at) => `reviewer-${at}`);
    expect(ids.map(criterionOf)).toEqual(ids.map(criterionOf));
    expect(new Set(ids.map(criterionOf))).toEqual(new Set(CRITERIA));
  });
});

describe('violations', () => {
  test('a brief that the text bears out has none, whatever one looks at', () => {
    for (const criterion of CRITERIA) expect(violations(criterion, STATEMENTS, TEXT)).toEqual([]);
  });

  test.each(CRITERIA)('%s: a quote that is not in the text', (criterion) => {
    const invented = [{ text: 'It is red.', quote: 'The bridge is red.' }];
    expect(violations(criterion, invented, TEXT)).toEqual(['the text does not contain the quote of "It is red."']);
  });

  test('figures: a number that the text does not have; marks between thousands do not matter', () => {
    const numbered = [
      { text: 'It carries 1250 cars.', quote: '' },
      { text: 'It opened in 1933, with 12.50 paid.', quote: '' },
    ];
    expect(violations('figures', numbered, TEXT)).toEqual([
      'the text does not contain the figure 1933 of "It opened in 1933, with 12.50 paid."',
      'the text does not contain the figure 12.50 of "It opened in 1933, with 12.50 paid."',
    ]);
    expect(violations('support', numbered, TEXT)).toEqual([]);
  });

  test('economy: the same said twice, and more words than the text', () => {
    const twice = [
      { text: 'It opened.', quote: '' },
      { text: 'it  opened.', quote: '' },
    ];
    expect(violations('economy', twice, TEXT)).toEqual(['said twice: "it opened."']);
    expect(violations('economy', [{ text: 'long '.repeat(40), quote: '' }], TEXT)).toEqual([
      'expected fewer characters than the text has (96), got 199',
    ]);
  });

  test('only the first few are told', () => {
    const invented = Array.from({ length: 50 }, (_, at) => ({ text: `${at}`, quote: 'made up' }));
    expect(violations('support', invented, TEXT)).toHaveLength(5);
  });
});

describe('reading what others made', () => {
  test.each([
    { name: 'a brief', result: BRIEF, statements: STATEMENTS },
    { name: 'a report', result: { brief: BRIEF, evidence: [] }, statements: STATEMENTS },
    { name: 'facts', result: { facts: [{ statement: 'a', quote: 'b' }] }, statements: [{ text: 'a', quote: 'b' }] },
    {
      name: 'statements without quotes',
      result: { statements: [{ text: 'a' }] },
      statements: [{ text: 'a', quote: '' }],
    },
    { name: 'anything else', result: { answer: 42 }, statements: [] },
    { name: 'nothing', result: undefined, statements: [] },
  ])('$name', ({ result, statements }) => {
    expect(statementsIn(result)).toEqual(statements);
  });

  test('the source: texts of the task and the goal, or the goal’s input in its own form', () => {
    expect(sourceOf({ text: 'own' }, { text: 'goal' })).toBe('own\n\ngoal');
    expect(sourceOf(undefined, 'goal')).toBe('goal');
    expect(sourceOf({ depth: 3 }, { pages: 7 })).toBe('{\n "pages": 7\n}');
    expect(sourceOf({ depth: 3 }, null)).toBeUndefined();
  });

  test('the leaves of a value, in order and bounded', () => {
    expect(leavesOf([{ a: 'one', b: [2, null, true, ' '] }, 'three'], 10)).toEqual(['one', '2', 'three']);
    expect(
      leavesOf(
        [
          ['a', 'b'],
          ['c', ['d', 'e']],
        ],
        3,
      ),
    ).toEqual(['a', 'b', 'c']);
    expect(
      leavesOf(
        Array.from({ length: 200_000 }, () => 'x'.repeat(3_000)),
        3,
      ),
    ).toEqual(Array.from({ length: 3 }, () => 'x'.repeat(2_000)));
  });

  test('several briefs are joined, and a brief goes before facts', () => {
    expect(briefOf([{ facts: [{ statement: 'a', quote: 'b' }] }, BRIEF], 'title')).toEqual({
      ...BRIEF,
      offline: false,
    });
    const joined = briefOf([BRIEF, { ...BRIEF, summary: 'Another.', offline: true }], 'Both');
    expect(joined).toEqual({
      title: 'Both',
      summary: 'A bridge. Another.',
      statements: [...STATEMENTS, ...STATEMENTS],
      offline: true,
    });
    expect(briefOf([{ facts: [{ statement: 'a', quote: 'b' }] }], 'Facts')).toMatchObject({
      title: 'Facts',
      statements: [{ text: 'a', quote: 'b' }],
    });
  });

  test('a sentence is found by what it says, over line breaks, and counted from 1', () => {
    const find = sentenceFinder(TEXT);
    expect(find('opened in 1932')).toEqual({ sentence: 'The bridge opened in 1932.', position: 1 });
    expect(find('8 lanes\n and')).toMatchObject({ position: 2 });
    expect(find('minute. Painters')).toMatchObject({ position: 2 });
    expect(find('Painters never finish it.')).toEqual({ sentence: 'Painters never finish it.', position: 3 });
    expect(find('painters')).toBeUndefined();
    expect(find(' ')).toBeUndefined();
  });

  test('of a long text only what stands around the quotes is shown', () => {
    const text = `${'a'.repeat(5_000)}QUOTE${'b'.repeat(5_000)}OTHER${'c'.repeat(5_000)}`;
    const statements = ['OTHER', 'QUOTE', 'missing', ''].map((quote) => ({ text: '', quote }));
    const excerpt = excerptFor(text, statements, 4_000);
    expect(excerpt).toBe(`${'a'.repeat(400)}QUOTE${'b'.repeat(400)}\n[...]\n${'b'.repeat(400)}OTHER${'c'.repeat(400)}`);
    expect(excerptFor(text, [], 4_000)).toBe(text.slice(0, 4_000));
    expect(excerptFor(text, statements, text.length)).toBe(text);
  });
});

describe('review', () => {
  const evidence = STATEMENTS.map(({ text }) => ({
    statement: text,
    sentence: 'whatever the model says',
    position: 9,
  }));

  test('gives each statement its sentence and position, as code finds them', async () => {
    const { context, asked } = fakeContext({
      input: undefined,
      goal: { input: { text: TEXT } },
      dependencies: { t2: { ...BRIEF, offline: false } },
      offline: false,
      replies: { report: () => ({ evidence }) },
    });
    const report = await review(context);
    expect(report).toEqual({
      brief: BRIEF,
      evidence: [
        {
          statement: 'It opened in 1932.',
          quote: 'The bridge opened in 1932.',
          sentence: 'The bridge opened in 1932.',
          position: 1,
          supported: true,
        },
        {
          statement: 'It has 8 lanes.',
          quote: 'It carries 8 lanes',
          sentence: 'It carries 8 lanes and 1,250 cars a minute.',
          position: 2,
          supported: true,
        },
      ],
      verdict: { sound: true, supported: 2, total: 2, note: '2 of 2 statements rest on a sentence of the text' },
      offline: false,
    });
    expect(asked).toMatchObject([{ user: { brief: BRIEF, text: TEXT } }]);
    expect(manifestWith(undefined).capabilities['review']?.output.safeParse(report).success).toBe(true);
  });

  test('a statement is supported only if code finds the passage and the model sees it follow', async () => {
    const statements = [
      { text: 'Invented.', quote: 'Nothing says so.' },
      { text: 'It closed.', quote: 'The bridge opened in 1932.' },
      { text: 'Painters paint.', quote: '' },
      { text: 'Unanswered.', quote: 'It carries 8 lanes' },
    ];
    const reply = () => ({
      evidence: [
        { statement: '', sentence: 'Nothing says so.', position: 1 },
        { statement: '', sentence: '', position: 0 },
        { statement: '', sentence: 'Painters never finish it.', position: 7 },
      ],
    });
    const { context } = fakeContext({
      input: { text: TEXT },
      dependencies: { t2: { ...BRIEF, statements } },
      replies: { report: reply },
    });
    const report = await review(context);
    expect(report.evidence.map(({ position, supported }) => [position, supported])).toEqual([
      [0, false],
      [1, false],
      [3, true],
      [2, false],
    ]);
    expect(report.verdict).toMatchObject({ sound: false, supported: 1, total: 4 });
  });

  test('without a statement there is nothing to ask a model', async () => {
    const { context, asked, logged } = fakeContext({
      input: undefined,
      description: 'Review it',
      dependencies: { t1: 'noise' },
    });
    expect(await review(context)).toMatchObject({
      brief: { title: 'Review it', statements: [] },
      evidence: [],
      verdict: { sound: false, total: 0 },
    });
    expect(asked).toEqual([]);
    expect(logged).toMatchObject([{ fields: { event: 'review.empty' } }]);
  });

  test('without a text the quotes that were found on the way are the source', async () => {
    const facts = { facts: STATEMENTS.map(({ text, quote }) => ({ statement: text, quote })) };
    const { context } = fakeContext({
      input: undefined,
      dependencies: { t1: facts, t2: BRIEF },
      replies: { report: () => ({ evidence }) },
    });
    expect((await review(context)).verdict).toMatchObject({ sound: true, total: 2 });
  });

  test('a brief may come as input', async () => {
    const { context } = fakeContext({ input: { text: TEXT, brief: BRIEF }, replies: { report: () => ({ evidence }) } });
    expect((await review(context)).verdict.sound).toBe(true);
  });
});
