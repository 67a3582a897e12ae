/** The handlers and the offline model understand each other: the demo's whole path on its sample text, without a mesh in between. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { writeBrief } from '../../../services/coder/handler.ts';
import { answerText } from '../../../services/model/handler.ts';
import { makePlan } from '../../../services/planner/handler.ts';
import { research } from '../../../services/researcher/handler.ts';
import { CRITERIA } from '../../../services/reviewer/criteria.ts';
import { review } from '../../../services/reviewer/handler.ts';
import { judge } from '../../../services/reviewer/vote.ts';
import { responseFormat } from '../../../shared/adapters/openai-schema.ts';
import { fakeContext, fakeVoter, present, type Reply, voteRequest } from '../../support/fake-context.ts';

const TEXT = readFileSync(new URL('../../../deploy/demo/input.txt', import.meta.url), 'utf8');
const GOAL = { description: 'Brief this text', input: { text: TEXT } };

const offline: Reply = ({ name, system, user, schema }) => {
  const format = responseFormat(name, schema);
  const messages = [
    { role: 'system', content: system },
    { role: 'user', content: JSON.stringify(user) },
  ];
  const answer: unknown = JSON.parse(
    answerText({ messages, format: { kind: 'schema', name, schema: format.json_schema.schema } }),
  );
  return answer;
};
const replies: Readonly<Record<string, Reply>> = {
  plan: offline,
  facts: offline,
  brief: offline,
  ballot: offline,
  report: offline,
};

function given(dependencies: Readonly<Record<string, unknown>>, more: { readonly reasons?: readonly string[] } = {}) {
  return fakeContext({ input: undefined, description: 'Brief this text', goal: GOAL, dependencies, replies, ...more });
}

describe('plan, research, code, vote, review', () => {
  test('every schema that is asked for is one that endpoints can enforce', async () => {
    const asked = new Map<string, boolean>();
    const watching: Reply = (question, time) => {
      asked.set(question.name, responseFormat(question.name, question.schema).json_schema.strict);
      return offline(question, time);
    };
    const all = { plan: watching, facts: watching, brief: watching, ballot: watching, report: watching };
    const context = { input: undefined, goal: GOAL, replies: all };
    const facts = await research(fakeContext(context).context);
    const brief = await writeBrief(fakeContext({ ...context, dependencies: { t1: facts } }).context);
    await review(fakeContext({ ...context, dependencies: { t2: brief } }).context);
    await judge('support', voteRequest({ result: { title: 'x' } }), fakeVoter({ replies: all }).context);
    await makePlan(fakeContext({ ...context, agents: [present('a', 'code')] }).context);
    expect(Object.fromEntries(asked)).toEqual({ facts: true, brief: true, report: true, ballot: true, plan: true });
  });

  test('the plan of the offline model can be run', async () => {
    const agents = [present('a', 'plan', 'research', 'code'), ...['r1', 'r2', 'r3'].map((id) => present(id, 'review'))];
    const { context, logged } = fakeContext({ goal: GOAL, agents, replies });
    const plan = await makePlan(context);
    expect(plan.source).toBe('model');
    expect(
      plan.tasks.map((task) => [task.taskId, task.capability, task.dependencies, task.vote !== undefined]),
    ).toEqual([
      ['t1', 'research', [], false],
      ['t2', 'code', ['t1'], true],
      ['t3', 'review', ['t2'], false],
    ]);
    expect(logged).toEqual([]);
  });

  test('a brief of the sample is approved by every criterion, and the review finds a sentence for each statement', async () => {
    const facts = await research(given({}).context);
    const brief = await writeBrief(given({ t1: facts }).context);
    expect(brief.offline).toBe(true);
    for (const criterion of CRITERIA) {
      const { context } = fakeVoter({ replies });
      const request = voteRequest({ description: 'Brief this text', result: brief, dependencies: {}, goal: GOAL });
      expect(await judge(criterion, request, context)).toMatchObject({ position: 'approve' });
    }
    const report = await review(given({ t2: brief }).context);
    expect(report.verdict).toMatchObject({ sound: true, total: brief.statements.length });
    for (const { quote, position } of report.evidence) {
      expect(TEXT).toContain(quote);
      expect(position).toBeGreaterThan(0);
    }
  });

  test('an invented statement is rejected for support and figures, and gone after the rework', async () => {
    const facts = await research(given({}).context);
    const invented = {
      text: 'The Zanzibar Institute paid 999 million euros.',
      quote: 'The Zanzibar Institute paid 999 million euros.',
    };
    const brief = await writeBrief(given({ t1: facts }).context);
    const spoilt = { ...brief, statements: [...brief.statements, invented] };
    const ballots = await Promise.all(
      CRITERIA.map((criterion) =>
        judge(
          criterion,
          voteRequest({ description: 'Brief it', result: spoilt, goal: GOAL }),
          fakeVoter({ replies }).context,
        ),
      ),
    );
    expect(ballots.map((ballot) => ballot.position)).toEqual(['reject', 'reject', 'reject']);
    const spoiltFacts = { facts: [{ statement: invented.text, quote: invented.quote }, ...facts.facts] };
    const reasons = ballots.map((ballot) => ballot.rationale ?? '');
    const reworked = await writeBrief(given({ t1: spoiltFacts }, { reasons }).context);
    expect(reworked.statements.map((statement) => statement.text)).not.toContain(invented.text);
    expect(reworked.statements.length).toBeGreaterThan(0);
  });

  test('independent parts: code without facts works on the text itself', async () => {
    const brief = await writeBrief(given({}).context);
    const report = await review(given({ t1: { facts: [] }, t2: brief }).context);
    expect(report.verdict.sound).toBe(true);
  });

  test('a text of the research task alone is enough', async () => {
    const own = { replies, goal: { description: 'Test' }, description: 'Do it' };
    const facts = await research(fakeContext({ ...own, input: { text: TEXT } }).context);
    const brief = await writeBrief(fakeContext({ ...own, input: undefined, dependencies: { r: facts } }).context);
    for (const criterion of CRITERIA) {
      const request = voteRequest({
        description: 'Do it',
        result: brief,
        dependencies: { r: facts },
        goal: { description: 'Test' },
      });
      expect(await judge(criterion, request, fakeVoter({ replies }).context)).toMatchObject({ position: 'approve' });
    }
  });

  test.each([{ input: { numbers: [1, 2, 3] } }, { input: undefined }])(
    'a goal with the input $input has a brief that its voters accept',
    async ({ input }) => {
      const own = {
        replies,
        goal: { description: 'Sum the numbers', input },
        description: 'Analyze: Sum the numbers (about: numbers)',
        input: undefined,
      };
      const facts = await research(fakeContext(own).context);
      const brief = await writeBrief(fakeContext({ ...own, dependencies: { t1: facts } }).context);
      const goal = { description: 'Sum the numbers', input: input ?? null };
      for (const criterion of CRITERIA) {
        const request = voteRequest({ description: own.description, result: brief, dependencies: { t1: facts }, goal });
        expect(await judge(criterion, request, fakeVoter({ replies }).context)).toMatchObject({ position: 'approve' });
      }
    },
  );

  test('results of another form are judged too', async () => {
    const { context } = fakeVoter({ replies });
    const request = voteRequest({
      description: 'Echo it',
      input: { text: 'The bridge opened in 1932.' },
      result: { said: 'The bridge opened in 1932.' },
    });
    expect(await judge('support', request, context)).toMatchObject({ position: 'approve' });
  });
});
