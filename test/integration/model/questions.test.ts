import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { briefQuestion } from '../../../services/coder/prompt.ts';
import { planQuestion } from '../../../services/planner/prompt.ts';
import { factsQuestion } from '../../../services/researcher/prompt.ts';
import { CRITERIA, type Statement } from '../../../services/reviewer/criteria.ts';
import { ballotQuestion, reportQuestion } from '../../../services/reviewer/prompt.ts';
import type { Model, ModelRequest } from '../../../shared/ports.ts';
import { STORM } from '../../unit/model/sample.ts';
import { type ModelProcess, startModel } from './model-process.ts';
import { offlineClient, requestOf } from './offline-client.ts';

let endpoint: ModelProcess;
let client: Model;
beforeAll(async () => {
  endpoint = await startModel();
  client = offlineClient(endpoint.baseUrl);
});
afterAll(() => endpoint.stop());

async function answerTo<T>(question: Omit<ModelRequest<T>, 'budget' | 'signal'>): Promise<T> {
  const answer = await client.complete(requestOf(question));
  if (!answer.ok) throw new Error(`${answer.reason}: ${answer.message}`);
  expect(answer).toMatchObject({ repaired: false, calls: 1, offline: true });
  return answer.value;
}

async function fault(...next: string[]): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  await fetch(`${endpoint.origin}/faults`, { method: 'PUT', body: JSON.stringify({ next }), headers });
}

function ballots(statements: readonly Statement[]) {
  return Promise.all(
    CRITERIA.map((criterion) =>
      answerTo(
        ballotQuestion({
          criterion,
          proposal: 'Brief the storm',
          text: STORM,
          statements,
          options: ['approve', 'reject'],
          reasons: [],
        }),
      ),
    ),
  );
}

const CAPABILITIES = ['code', 'echo', 'research', 'review'];
const plan = () =>
  answerTo(
    planQuestion({ goal: 'Brief the storm', pattern: 'orchestrator', capabilities: CAPABILITIES, problem: undefined }),
  );

describe('the questions of the demo agents', () => {
  it('are all answered at the first attempt, from the plan to the report', async () => {
    const { steps } = await plan();
    expect(steps.map((step) => step.capability)).toEqual(['research', 'code', 'review']);
    const { facts } = await answerTo(factsQuestion('Brief the storm', STORM));
    expect(facts.length).toBeGreaterThanOrEqual(3);
    const brief = await answerTo(briefQuestion('Brief the storm', facts));
    for (const { quote } of brief.statements) expect(STORM).toContain(quote);
    const positions = (await ballots(brief.statements)).map((ballot) => ballot.position);
    expect(positions).toEqual(['approve', 'approve', 'approve']);
    const { evidence } = await answerTo(reportQuestion(brief, STORM));
    expect(evidence.map(({ position }) => position > 0)).toEqual(brief.statements.map(() => true));
  });

  it('bring an unsupported statement before reviewers that reject it, and a brief without it after that', async () => {
    const { facts } = await answerTo(factsQuestion('Brief the storm', STORM));
    await fault('unsupported');
    const bad = await answerTo(briefQuestion('Brief the storm', facts));
    const votes = await ballots(bad.statements);
    expect(votes.filter((ballot) => ballot.position === 'reject').length).toBeGreaterThanOrEqual(2);
    const again = await answerTo(
      briefQuestion('Brief the storm', facts, { reasons: votes.map((ballot) => ballot.rationale) }),
    );
    const positions = (await ballots(again.statements)).map((ballot) => ballot.position);
    expect(positions).toEqual(['approve', 'approve', 'approve']);
  });

  it('get a cyclic plan when one is asked for', async () => {
    await fault('cyclic');
    const { steps } = await plan();
    expect(steps[0]?.dependsOn).toEqual([steps.at(-1)?.id]);
  });
});
