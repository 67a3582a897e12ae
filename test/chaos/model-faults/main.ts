/** R12: goals through a mesh whose model fails in 30 % of its answers. */
import { readFileSync } from 'node:fs';
import { startModel } from '../../integration/model/model-process.ts';
import { startBroker } from '../../support/broker.ts';
import { gather, judge, logHasCaughtUp } from '../../support/checker.ts';
import type { ForeignGoal } from '../../support/foreign-records.ts';
import { type Mesh, openMesh } from '../../support/open-mesh.ts';
import { runSuite, type Suite } from '../../support/suite.ts';
import { waitUntil } from '../../support/wait.ts';

const GOALS = Number(process.env['GOALS'] ?? 100);
/** A cyclic plan is a fault of plans alone: every other answer fails in 30 %, a plan in 36 %. */
const FAULTS = ['429', '500', 'hang', 'drip', 'garbage', 'cyclic'] as const;
const RATES = FAULTS.map((fault) => `${fault}:0.06`).join();
/** An endpoint that hangs or drips costs a call this long, not a minute. */
const MODEL_TIMEOUT_MS = '2000';
/** Far above what a goal needs: with a budget also a call whose outcome nobody knows is on record. */
const BUDGET = { usd: 1 };
const GOALS_MS_MAX = 300_000;
const TEXT = readFileSync(new URL('../../../deploy/demo/input.txt', import.meta.url), 'utf8');
const CREW = ['planner', 'researcher', 'coder', 'reviewer', 'reviewer', 'reviewer'] as const;

interface Served {
  readonly requests: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly open: number;
  readonly tokens: number;
}

interface Run {
  readonly goals: readonly ForeignGoal[];
  readonly served: Served;
  readonly seconds: number;
}

await runSuite(`model faults: ${GOALS} goals without, then with ${RATES}`, async (suite) => {
  const broker = await startBroker();
  suite.onEnd(() => broker.stop());
  const calm = await run(suite, broker.url, 'calm', '');
  const faulty = await run(suite, broker.url, 'faulty', RATES);

  const all = (goals: readonly ForeignGoal[], status: string): number =>
    goals.filter((goal) => goal.status === status).length;
  suite.check(
    'without faults every goal is completed',
    all(calm.goals, 'completed') === GOALS,
    `${all(calm.goals, 'completed')}`,
  );
  const injected = Object.values(faulty.served.faults).reduce((sum, count) => sum + count, 0);
  suite.note(FAULTS.map((fault) => `${fault} ${faulty.served.faults[fault] ?? 0}`).join(', '));
  suite.check(
    'every kind of fault bit',
    FAULTS.every((fault) => (faulty.served.faults[fault] ?? 0) > 0),
  );
  const share = injected / faulty.served.requests;
  suite.check(
    'about 30 % of the answers were faults',
    share >= 0.25,
    `${injected} of ${faulty.served.requests} (${(share * 100).toFixed(1)} %)`,
  );
  suite.check('every goal is terminal', faulty.goals.length === GOALS, `${faulty.goals.length} of ${GOALS}`);
  const failed = faulty.goals.filter((goal) => goal.status !== 'completed');
  for (const goal of failed)
    suite.note(`${goal.goalId} ${goal.status}: ${goal.error?.code} ${goal.error?.message.slice(0, 200)}`);
  const succeeded = all(faulty.goals, 'completed') / GOALS;
  suite.check('at least 99 % succeed', succeeded >= 0.99, `${(succeeded * 100).toFixed(1)} %`);
  const ratio = faulty.served.requests / calm.served.requests;
  suite.check(
    'at most twice the calls',
    ratio <= 2,
    `${faulty.served.requests} instead of ${calm.served.requests} (${ratio.toFixed(2)} times)`,
  );
  suite.check('no request is left open at the endpoint', faulty.served.open === 0, String(faulty.served.open));
  for (const { goals, served } of [calm, faulty]) {
    const recorded = goals.reduce((sum, goal) => sum + goal.spent.tokens, 0);
    suite.check(
      'the goals record at least what the endpoint served',
      recorded >= served.tokens,
      `${recorded} tokens of ${served.tokens}`,
    );
  }
  suite.note(`${calm.seconds.toFixed(1)} s without faults, ${faulty.seconds.toFixed(1)} s with`);
});

async function run(suite: Suite, url: string, label: string, rates: string): Promise<Run> {
  const model = await startModel({
    MODEL_FAULTS: rates,
    MODEL_LATENCY_MS: '20',
    MODEL_SEED: process.env['SEED'] ?? '1',
  });
  suite.onEnd(() => model.stop('SIGKILL'));
  const mesh = await openMesh(label, url);
  suite.onEnd(() => mesh.close());
  const env = { OPENAI_BASE_URL: model.baseUrl, MODEL_TIMEOUT_MS, LOG_LEVEL: 'warn', HTTP_PORT: '0' };
  const agents = CREW.map((role, index) =>
    mesh.launch(`${role}-${index}`, { folder: `services/${role}`, env: { ...env, LOG_LEVEL: 'info' } }),
  );
  await Promise.all(agents.map((agent) => agent.logged('agent.ready')));
  const startedAt = performance.now();
  const ids = Array.from({ length: GOALS }, (_, index) => `g${index}`);
  for (const [index, goalId] of ids.entries())
    await mesh.foreign.submit({
      goalId,
      description: `Brief number ${index} of this text`,
      input: { text: TEXT },
      budget: BUDGET,
    });
  const goals = await endOf(mesh, ids);
  const seconds = (performance.now() - startedAt) / 1_000;
  await judged(suite, mesh, label, ids);
  await waitUntil('the endpoint is quiet', async () => (await servedBy(model.origin)).open === 0, 30_000).catch(
    () => undefined,
  );
  const served = await servedBy(model.origin);
  await mesh.close();
  await model.stop();
  return { goals, served, seconds };
}

async function endOf({ foreign }: Mesh, ids: readonly string[]): Promise<readonly ForeignGoal[]> {
  const deadline = performance.now() + GOALS_MS_MAX;
  const goals: ForeignGoal[] = [];
  for (const goalId of ids) {
    const goal = await foreign.ended(goalId, Math.max(1, deadline - performance.now())).catch(() => undefined);
    if (goal !== undefined) goals.push(goal);
  }
  return goals;
}

async function judged(suite: Suite, { foreign, name }: Mesh, label: string, ids: readonly string[]): Promise<void> {
  const evidence = await waitUntil('the log has caught up', async () => {
    const found = await gather(foreign.nc, name);
    return logHasCaughtUp(found) ? found : undefined;
  });
  const { violations, revisions } = judge(name, evidence, ids);
  suite.check(
    `${label}: the streams show no violation`,
    violations.length === 0,
    `${revisions} revisions${violations
      .slice(0, 5)
      .map((line) => `\n         ${line}`)
      .join('')}`,
  );
}

async function servedBy(origin: string): Promise<Served> {
  const stats = (await (await fetch(`${origin}/faults`)).json()) as Omit<Served, 'tokens'>;
  const metrics = await (await fetch(`${origin}/metrics`)).text();
  const tokens = [...metrics.matchAll(/^model_tokens_total\{[^}]*\} (\d+)/gm)].reduce(
    (sum, [, count]) => sum + Number(count),
    0,
  );
  return { ...stats, tokens };
}
