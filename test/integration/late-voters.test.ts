/** A voter that still asks its model when the others have decided: it stops, and nothing that it spends lands behind the goal's end. */
import { afterAll, afterEach, expect, inject, test } from 'vitest';
import { connectForeign, type Foreign, jsonOf } from '../support/foreign.ts';
import { waitUntil } from '../support/wait.ts';
import { type ModelProcess, startModel } from './model/model-process.ts';
import { meshOfFile } from './mesh.ts';
import { expectSound } from './verdict.ts';

/** Far longer than the test: only an abort ends such a call. */
const THINKS_MS = '600000';

let model: ModelProcess | undefined;
const mesh = meshOfFile('late', async (open) => {
  model = await startModel({ MODEL_LATENCY_MS: THINKS_MS });
  const env = { OPENAI_BASE_URL: model.baseUrl, MODEL_TIMEOUT_MS: THINKS_MS };
  await Promise.all([open.agent('thinker', { folder: 'services/reviewer', env }), open.agent('echo1')]);
});
const quick: Foreign[] = [];
afterEach(() => Promise.all(quick.splice(0).map((voter) => voter.close())));
afterAll(() => model?.stop('SIGKILL'));

async function callsOpen(): Promise<number> {
  return ((await (await fetch(`${model?.origin ?? ''}/faults`)).json()) as { readonly open: number }).open;
}

/** Votes only once the thinker's call is under way. */
async function quickVoter(id: string, position: string): Promise<void> {
  const { name } = mesh();
  const voter = await connectForeign(inject('natsUrl'), name, id);
  quick.push(voter);
  voter.nc.subscribe(`${name}.vote.review`, {
    callback: (_error, { data, reply }) => {
      const { roundId, roster } = jsonOf(data) as { readonly roundId: string; readonly roster: readonly string[] };
      if (!roster.includes(id)) return;
      const ballot = JSON.stringify({ roundId, agent: id, position, timestamp: new Date().toISOString() });
      void waitUntil('the thinker asks its model', async () => (await callsOpen()) === 1, 20_000).then(() =>
        voter.nc.publish(`${reply}.${id}`, ballot),
      );
    },
  });
  await voter.nc.flush();
  await voter.announce(['review']);
}

const ledger = async (goalId: string) => {
  const revisions = await mesh().foreign.revisions(`ledger.${goalId}`);
  return revisions.at(-1)?.record as {
    readonly spent: { readonly tokens: number; readonly usd: number };
    readonly reserved: object;
    readonly byAgent: Readonly<Record<string, number>>;
  };
};

test.each([
  ['without a budget', {}],
  ['within a budget', { budget: { usd: 1 } }],
] as const)('%s it is told, stops, and its call is in the account of the goal', async (_name, more) => {
  const { foreign } = mesh();
  for (const id of ['quick1', 'quick2']) await quickVoter(id, 'approve');
  const goalId = 'budget' in more ? 'capped' : 'open';
  const vote = { capability: 'review', rule: { method: 'majority' }, onReject: 'fail' };
  await foreign.submit({
    goalId,
    description: 'x',
    ...more,
    tasks: [{ taskId: 'work', capability: 'echo', input: { made: 'something' }, vote }],
  });
  const goal = await foreign.ended(goalId);
  expect(goal.status).toBe('completed');
  await waitUntil("the model's call is aborted", async () => (await callsOpen()) === 0);

  const account = await waitUntil('the voter has settled', async () => {
    const found = await ledger(goalId);
    return Object.keys(found.reserved).length === 0 ? found : undefined;
  });
  // What the endpoint would have charged nobody knows, so the most that it can be stays spent; all of it is in the goal's last word.
  expect(account.spent.tokens).toBeGreaterThan(0);
  expect(goal.spent.tokens).toBe(account.spent.tokens);
  expect(goal.cost.compute['thinker']).toBe(account.byAgent['thinker']);
  const [round] = (await foreign.revisions('round.*')).slice(-1).map(({ record }) => record as { roster: string[] });
  expect(round).toMatchObject({ roster: ['quick1', 'quick2', 'thinker'], position: 'approve', votes: 2 });
  expect(round).not.toMatchObject({ ballots: expect.arrayContaining([expect.objectContaining({ agent: 'thinker' })]) });
});

test('the goal of a cancelled round is not kept waiting, and its voter stops as well', async () => {
  const { foreign } = mesh();
  const vote = { capability: 'review', rule: { method: 'majority' }, onReject: 'fail' };
  await foreign.submit({
    goalId: 'dropped',
    description: 'x',
    tasks: [{ taskId: 'work', capability: 'echo', input: { made: 'something' }, vote }],
  });
  await waitUntil('the thinker asks its model', async () => (await callsOpen()) === 1);
  await foreign.cancel('dropped', 'not needed');
  expect(await foreign.ended('dropped', 5_000)).toMatchObject({ status: 'cancelled' });
  await waitUntil("the model's call is aborted", async () => (await callsOpen()) === 0, 5_000);
});

test('the streams are sound', async () => {
  await expectSound(mesh(), ['open', 'capped', 'dropped']);
});
