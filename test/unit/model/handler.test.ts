import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { answerText } from '../../../services/model/handler.ts';
import { STORM } from './sample.ts';

/** All fields of all answers: a test looks at those of its own kind. */
interface Answer {
  readonly steps: { title: string; description: string; capability: string; dependsOn: string[] }[];
  readonly facts: { statement: string; quote: string }[];
  readonly title: string;
  readonly summary: string;
  readonly statements: { text: string; quote: string }[];
  readonly position: string;
  readonly confidence: number;
  readonly rationale: string;
  readonly evidence: { statement: string; sentence: string; position: number }[];
}

function ask(name: string, user: unknown, schema?: z.ZodType): Answer {
  const content = typeof user === 'string' ? user : JSON.stringify(user);
  const messages = [
    { role: 'system', content: 'Answer as told. {"not": "this"}' },
    { role: 'user', content },
  ];
  const format = { kind: 'schema' as const, name, schema: schema === undefined ? undefined : z.toJSONSchema(schema) };
  return JSON.parse(answerText({ messages, format })) as Answer;
}

const steps = (answer: Answer) => answer.steps.map(({ capability, dependsOn }) => [capability, dependsOn]);

describe('plan', () => {
  it('is the three steps in a chain, worded from the goal', () => {
    const answer = ask('plan', {
      goal: 'Brief the storm of Lindau',
      capabilities: ['echo', 'research', 'code', 'review'],
    });
    expect(steps(answer)).toEqual([
      ['research', []],
      ['code', ['analyze']],
      ['review', ['implement']],
    ]);
    expect(answer.steps.map((step) => step.title)).toEqual(['Analyze', 'Implement', 'Review']);
    for (const { description } of answer.steps) expect(description).toContain('Brief the storm of Lindau');
  });

  it('is split into parts and a join for a parallel goal, with what is offered', () => {
    const parts = (...capabilities: string[]) => steps(ask('plan', { goal: 'x', pattern: 'parallel', capabilities }));
    expect(parts('echo', 'research', 'code', 'review')).toEqual([
      ['research', []],
      ['research', []],
      ['research', []],
      ['code', ['points', 'figures', 'names']],
    ]);
    expect(parts('paint').map(([capability]) => capability)).toEqual(['paint', 'paint', 'paint', 'paint']);
  });

  it('goes another way when a step failed: without it and without what is done, behind what is done', () => {
    const part = (taskId: string, capability: string) => ({ taskId, capability, description: '' });
    const anew = (failed: object[], finished: object[], ...capabilities: string[]) =>
      steps(ask('plan', { goal: 'x', capabilities, failed, finished, waiting: [], running: [] }));
    const all = ['research', 'code', 'review'] as const;
    expect(anew([part('t1', 'research')], [], ...all)).toEqual([
      ['code', []],
      ['review', ['implement-anew']],
    ]);
    expect(anew([part('t2', 'code')], [part('t1', 'research')], ...all)).toEqual([['review', ['t1']]]);
    expect(anew([part('t3', 'review')], [part('t1', 'research'), part('t2', 'code')], ...all)).toEqual([
      ['research', ['t1', 't2']],
    ]);
    expect(anew([part('t1', 'paint')], [], 'paint')).toEqual([['paint', []]]);
  });

  it('uses only capabilities that are offered, wherever they are listed', () => {
    expect(steps(ask('plan', { goal: 'x', capabilities: ['research', 'review'] }))).toEqual([
      ['research', []],
      ['review', ['analyze']],
    ]);
    expect(steps(ask('plan', { goal: 'x', capabilities: [{ name: 'code' }] }))).toEqual([['code', []]]);
    expect(steps(ask('plan', 'Do x.\nCapabilities: code, review.'))).toEqual([
      ['code', []],
      ['review', ['implement']],
    ]);
    const Enumerated = z.object({
      steps: z.array(z.object({ capability: z.enum(['review']), dependsOn: z.array(z.string()) })),
    });
    expect(steps(ask('plan', { goal: 'x' }, Enumerated))).toEqual([['review', []]]);
    expect(steps(ask('plan', { goal: 'x', capabilities: ['paint'] }))).toEqual([['paint', []]]);
  });

  it('is refused when there is nothing to plan with', () => {
    expect(() => ask('plan', { goal: 'x' })).toThrow(/"capabilities"/);
    expect(() => ask('plan', { goal: 'x', capabilities: [] })).toThrow(/"capabilities"/);
  });
});

describe('brief', () => {
  const facts = ask('facts', { description: 'Brief this', text: STORM }).facts;

  it('says what the facts say, with their quotes, once each', () => {
    const brief = ask('brief', { description: 'Brief this', facts: [...facts, ...facts] });
    expect(brief.statements.length).toBeLessThanOrEqual(5);
    const quotes = brief.statements.map(({ quote }) => quote);
    expect(new Set(quotes).size).toBe(quotes.length);
    for (const quote of quotes) expect(STORM).toContain(quote);
    expect(brief.title).toMatch(/^Brief: \S/);
    expect(brief.summary).toContain(brief.statements[0]?.text);
  });

  it('leaves out what reviewers blamed, in the words they use', () => {
    const first = facts[0];
    if (first === undefined) throw new Error('expected facts');
    for (const reason of [
      `support: the text does not contain the quote ${JSON.stringify(first.quote)}`,
      `figures: not in the text: "${first.statement}"`,
    ]) {
      const again = ask('brief', { facts, reasons: [reason] });
      expect(again.statements.map(({ quote }) => quote)).not.toContain(first.quote);
      expect(again.statements.length).toBeGreaterThan(0);
    }
  });

  it('is shorter when reviewers found it too long', () => {
    const long = ask('brief', { facts });
    const short = ask('brief', {
      facts,
      reasons: ['economy: expected fewer characters than the text has (10), got 20'],
    });
    expect(short.statements.length).toBeLessThan(long.statements.length);
  });

  it.each([[{ facts: [] }], [{ facts: 'none' }], [{}], ['no JSON']])('is refused without facts: %j', (user) => {
    expect(() => ask('brief', user)).toThrow(/facts/);
  });
});

describe('ballot', () => {
  const brief = ask('brief', { facts: ask('facts', { description: '', text: STORM }).facts });
  const vote = (
    criteria: unknown,
    statements: unknown = brief.statements,
    text: string | undefined = STORM,
    options?: string[],
  ) =>
    ask('ballot', {
      proposal: 'Brief this',
      criteria,
      statements,
      ...(text === undefined ? {} : { text }),
      ...(options === undefined ? {} : { options }),
    });

  it.each(['support', 'figures', 'economy', ['support', 'figures', 'economy'], undefined])(
    'approves a sound brief by %j',
    (criteria) => {
      expect(vote(criteria)).toMatchObject({ position: 'approve' });
      expect(vote(criteria).confidence).toBeGreaterThan(0.9);
    },
  );

  const quote = 'It lasted\n42 minutes and brought 31 millimetres of rain.';
  it.each([
    [
      'support',
      'a made-up quote',
      { text: 'It lasted 42 minutes.', quote: 'It lasted 42 long minutes.' },
      /quote is not in the text/,
    ],
    [
      'support',
      'words that the quote does not have',
      { text: 'The mayor of Bregenz resigned in anger.', quote },
      /does not say/,
    ],
    [
      'support',
      'words that the text does not have',
      { text: 'The mayor of Bregenz resigned in anger.', quote: '' },
      /bregenz|anger/,
    ],
    ['figures', 'a strange figure', { text: 'It lasted 43 minutes.', quote }, /43/],
    ['figures', 'a strange name', { text: 'It struck the harbour of Bregenz.', quote }, /Bregenz/],
    ['economy', 'the same again', brief.statements[0], /repeats/],
    ['economy', 'more words than the text', { text: 'word '.repeat(STORM.length), quote }, /not shorter/],
  ])('rejects by %s: %s', (criterion, _, statement, rationale) => {
    const ballot = vote(criterion, [...brief.statements, statement]);
    expect(ballot.position).toBe('reject');
    expect(ballot.rationale).toMatch(rationale);
    expect(ballot.confidence).toBeGreaterThan(0.5);
  });

  it('judges by its own criterion alone', () => {
    const wrongFigure = [...brief.statements, { text: 'It lasted 43 minutes.', quote }];
    expect(vote('economy', wrongFigure).position).toBe('approve');
    expect(vote('figures', wrongFigure).position).toBe('reject');
  });

  it('abstains when it cannot tell', () => {
    expect(vote('support', brief.statements, '')).toMatchObject({ position: 'abstain', confidence: 0 });
    expect(vote('beauty')).toMatchObject({ position: 'abstain' });
    expect(vote('support', brief.statements, STORM, ['reject'])).toMatchObject({ position: 'abstain' });
  });

  it('approves a one-sentence text that is its own brief', () => {
    const text = 'The mast fell on the quay.';
    expect(vote('economy', [{ text, quote: text }], text).position).toBe('approve');
  });

  it('chooses among other options the one that the text speaks of', () => {
    const text = 'Postgres keeps rows. NATS keeps streams, and NATS routes messages.';
    expect(vote('support', [{ text: 'Which store?' }], text, ['postgres', 'nats'])).toMatchObject({ position: 'nats' });
    expect(vote('support', [{ text: 'Which store?' }], 'Neither is named.', ['postgres', 'nats'])).toMatchObject({
      position: 'abstain',
    });
  });
});

describe('report', () => {
  it('traces each statement to its sentence and its number', () => {
    const quote = 'It lasted\n42 minutes and brought 31 millimetres of rain.';
    const brief = {
      statements: [
        { text: 'It rained 31 millimetres.', quote },
        { text: 'The harbour master wants new masts.' },
        { text: 'Cats sleep all day.' },
      ],
    };
    expect(ask('report', { brief, text: STORM }).evidence).toEqual([
      { statement: 'It rained 31 millimetres.', sentence: quote, position: 3 },
      {
        statement: 'The harbour master wants new masts.',
        sentence: 'The harbour master wants new masts by spring.',
        position: 8,
      },
      { statement: 'Cats sleep all day.', sentence: '', position: 0 },
    ]);
  });
});

describe('the conversation', () => {
  it('is answered from its first data, also when a repair follows', () => {
    const data = JSON.stringify({ goal: 'x', capabilities: ['code'] });
    const messages = [
      { role: 'user', content: data },
      { role: 'assistant', content: '{"wrong":1}' },
      { role: 'user', content: 'does not fit {"goal":"y","capabilities":["review"]}' },
    ];
    const text = answerText({ messages, format: { kind: 'schema', name: 'plan', schema: undefined } });
    expect(JSON.parse(text).steps[0].capability).toBe('code');
  });

  it('is brought into the form that the schema asks for', () => {
    const Wider = z.object({
      facts: z.array(z.object({ statement: z.string(), quote: z.string(), weight: z.number() })),
      note: z.string(),
    });
    const answer = ask('facts', { text: STORM }, Wider);
    expect(Wider.safeParse(answer).success).toBe(true);
    const Narrow = z.strictObject({ facts: z.array(z.strictObject({ quote: z.string() })) });
    expect(Narrow.safeParse(ask('facts', { text: STORM }, Narrow)).success).toBe(true);
  });

  it('without a schema is answered with sentences of the text', () => {
    const messages = [{ role: 'user', content: STORM }];
    const text = answerText({ messages, format: { kind: 'text' } });
    expect(STORM.replace(/\s+/g, ' ')).toContain(text.split('. ')[0]);
    expect(JSON.parse(answerText({ messages, format: { kind: 'json' } })).answer.length).toBeGreaterThan(1);
  });
});
