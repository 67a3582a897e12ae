/** What the demo prints, and what it lets its user choose. */
import { describe, expect, test } from 'vitest';
import { startMesh } from '../../../deploy/demo/mesh.ts';
import type { Fleet } from '../../../deploy/demo/processes.ts';
import { optionsFrom } from '../../../deploy/demo/options.ts';
import { planText, resultText, votesText } from '../../../deploy/demo/summary.ts';
import { screenOf } from '../../../services/cli/render/screen.ts';
import { fallbackPlan } from '../../../shared/core/plan.ts';
import type { Ballot, RoundRecord } from '../../../shared/protocol/vote.ts';
import { freePort } from '../../support/free-port.ts';

const SCREEN = screenOf(60, false);
const AT = '2030-01-01T00:00:00.000Z';

describe('options', () => {
  test('everything has a default, also when it is set to nothing', () => {
    const defaults = optionsFrom({});
    expect(defaults).toMatchObject({
      input: expect.stringMatching(/deploy\/demo\/input\.txt$/),
      mesh: 'demo',
      natsUrl: undefined,
    });
    expect(optionsFrom({ INPUT: '', GOAL: ' ', MESH: '', NATS_URL: '', OPENAI_BASE_URL: '' })).toEqual(defaults);
  });

  test('what is given is taken as it is', () => {
    const env = { INPUT: 'a b.txt', GOAL: '--help $(x)', MESH: 'm', NATS_URL: 'nats://x', OPENAI_BASE_URL: 'http://y' };
    expect(optionsFrom(env)).toEqual({
      input: 'a b.txt',
      goal: '--help $(x)',
      mesh: 'm',
      natsUrl: 'nats://x',
      endpoint: 'http://y',
    });
  });
});

test('a model that is not there is said before anything is started', async () => {
  const fleet: Fleet = {
    start: () => {
      throw new Error('a process was started');
    },
    afterwards: () => {},
    stop: async () => [],
    kill: () => {},
  };
  const options = optionsFrom({ OPENAI_BASE_URL: `http://127.0.0.1:${await freePort()}/v1` });
  await expect(startMesh(fleet, options, new AbortController().signal)).rejects.toThrow(
    /^no answer from http:\/\/127\.0\.0\.1:\d+ \(ECONNREFUSED\); start it, or set OPENAI_BASE_URL/,
  );
});

describe('the plan', () => {
  test('shows each task, what it waits for and who votes on it, and why it is not the model’s', () => {
    const plan = fallbackPlan(
      'goal',
      { capabilities: new Set(), reviewers: 3, pattern: 'orchestrator', continues: false },
      'no \u001b[2J answer',
    );
    expect(planText(screenOf(200, false), plan).split('\n')).toEqual([
      'the fixed three steps: no \\u001b[2J answer',
      expect.stringMatching(/^task +capability +after +voted on by +description$/),
      expect.stringMatching(/^t1 +research +Analyze: goal$/),
      expect.stringMatching(/^t2 +code +t1 +review \(majority\) +Implement: goal$/),
      expect.stringMatching(/^t3 +review +t2 +Review: goal$/),
    ]);
  });

  test('something else than a plan is shown as it is', () => {
    expect(planText(SCREEN, { $blob: 'x' })).toBe('(no plan of protocol version 1: {"$blob":"x"})');
  });
});

describe('the result', () => {
  const brief = { title: 'T\u001b[31mitle', summary: 'One. Two.', statements: [{ text: 'A', quote: 'a' }] };

  test('a reviewed brief with its evidence', () => {
    const evidence = [
      {
        statement: 'It is tall.',
        quote: 'It is 134 m tall.',
        sentence: 'It is 134 m tall.',
        position: 3,
        supported: true,
      },
      { statement: 'It is red.', quote: '', sentence: '', position: 0, supported: false },
    ];
    const report = {
      brief,
      evidence,
      verdict: { sound: false, supported: 1, total: 2, note: '1 of 2' },
      offline: true,
    };
    expect(resultText(SCREEN, report).split('\n')).toEqual([
      'T\\u001b[31mitle',
      'One. Two.',
      '',
      ' 1. It is tall.',
      '      "It is 134 m tall." (sentence 3)',
      ' 2. It is red.  not supported',
      '      no quote',
      '',
      'Review: 1 of 2',
    ]);
  });

  test('a bare brief, and anything else as JSON', () => {
    expect(resultText(SCREEN, brief)).toBe('T\\u001b[31mitle\nOne. Two.\n\n 1. A\n      "a"');
    expect(resultText(SCREEN, { answer: 42 })).toBe('{\n  "answer": 42\n}');
  });

  test('no line is wider than the screen', () => {
    const words = 'word '.repeat(60);
    const long = { ...brief, title: 'Title', summary: words, statements: [{ text: words, quote: words }] };
    for (const line of resultText(SCREEN, long).split('\n')) expect(line.length).toBeLessThanOrEqual(60);
  });
});

describe('the votes', () => {
  const ballot = (agent: string, position: string): Ballot => ({
    roundId: 'r',
    agent,
    position,
    confidence: 0.9,
    rationale: `${agent} says`,
    timestamp: AT,
  });
  const round: RoundRecord = {
    roundId: 'r',
    taskId: 't2',
    proposal: 'Accept?',
    options: ['approve', 'reject'],
    rule: { method: 'majority' },
    roster: ['a', 'b', 'c', 'd'],
    ballots: [ballot('a', 'approve'), ballot('b', 'approve')],
    consensus: true,
    position: 'approve',
    votes: 2,
    correlationId: 'g',
    openedAt: AT,
    decidedAt: AT,
  };

  test('who voted how, who came too late, and who did not vote', () => {
    const stray = { ...ballot('c', 'approve'), roundId: 'other' };
    expect(
      votesText(SCREEN, [round], [...round.ballots, ballot('c', 'reject'), stray, ballot('x', 'reject')]).split('\n'),
    ).toEqual([
      'result of task t2: approve  (2 of 4 ballots counted, majority)',
      '  a  approve 0.90',
      '      a says',
      '  b  approve 0.90',
      '      b says',
      '  c  reject 0.90  (after the decision, not counted)',
      '      c says',
      '  no ballot before the deadline: d',
    ]);
  });

  test('whoever the decision did not wait for is not blamed', () => {
    const settled = { ...round, roster: ['a', 'b', 'c'] };
    expect(votesText(SCREEN, [settled], settled.ballots)).toMatch(/^ {2}not waited for, the outcome was settled: c$/m);
  });

  test('a round without a decision says why, and no round at all is said too', () => {
    const { position: _, ...open } = round;
    expect(votesText(SCREEN, [{ ...open, consensus: false, reason: 'tie' }], [])).toMatch(
      /^result of task t2: no consensus \(tie\)/,
    );
    expect(votesText(SCREEN, [], [])).toBe('nothing was put to the vote');
  });
});
