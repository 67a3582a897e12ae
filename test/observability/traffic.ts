/** A mesh on which everything happens that a dashboard shows: all four patterns, votes of all methods, failures, retries, a breaker, refusals, a freeze. */
import { readFileSync } from 'node:fs';
import { startModel } from '../integration/model/model-process.ts';
import { startBroker, type TestBroker } from '../support/broker.ts';
import { type Mesh, openMesh } from '../support/open-mesh.ts';
import type { AgentProcess } from '../support/processes.ts';
import type { Suite } from '../support/suite.ts';
import { waitUntil } from '../support/wait.ts';

const TEXT = readFileSync(new URL('../../deploy/demo/input.txt', import.meta.url), 'utf8');
const ROUND_MS = 1_000;
/** A lease, and some. */
const TAKEOVER_MS_MAX = 30_000;

export interface World {
  readonly mesh: Mesh;
  readonly broker: TestBroker;
  readonly agents: readonly AgentProcess[];
}

export async function startWorld(suite: Suite): Promise<World> {
  const broker = await startBroker();
  suite.onEnd(() => broker.stop());
  const [model, broken] = await Promise.all([
    startModel({ MODEL_LATENCY_MS: '20', LOG_LEVEL: 'info' }),
    startModel({ MODEL_FAULTS: '500:1', LOG_LEVEL: 'info' }),
  ]);
  suite.onEnd(() => model.stop('SIGKILL'));
  suite.onEnd(() => broken.stop('SIGKILL'));
  const mesh = await openMesh('observed', broker.url);
  suite.onEnd(() => mesh.close());
  suite.onFailure(() => mesh.tails());
  const start = (id: string, service: string, baseUrl = model.baseUrl, env: Readonly<Record<string, string>> = {}) =>
    mesh.agent(id, {
      folder: `services/${service}`,
      env: { OPENAI_BASE_URL: baseUrl, OPENAI_API_KEY: 'k', OPENAI_MODEL: 'conclave-offline-1', ...env },
    });
  const agents = await Promise.all([
    start('planner-1', 'planner'),
    start('researcher-1', 'researcher'),
    start('coder-1', 'coder'),
    // Its model always fails: its breaker opens, and what it tries is done by the other.
    start('coder-broken', 'coder', broken.baseUrl, { SLOTS: '1' }),
    start('reviewer-1', 'reviewer', model.baseUrl, { REVIEW_CRITERION: 'support' }),
    start('reviewer-2', 'reviewer', model.baseUrl, { REVIEW_CRITERION: 'figures' }),
    start('reviewer-3', 'reviewer', model.baseUrl, { REVIEW_CRITERION: 'economy' }),
    start('echo-1', 'echo'),
    start('echo-2', 'echo', model.baseUrl, { SLOTS: '2' }),
  ]);
  return { mesh, broker, agents };
}

const echo = (taskId: string, more: object = {}) => ({ taskId, capability: 'echo', description: taskId, ...more });
const METHODS = [
  { method: 'majority' },
  { method: 'weighted' },
  { method: 'unanimous' },
  { method: 'ahead-by-k', k: 1 },
] as const;

/** One round of goals, as many as an idle mesh finishes in a second or two. */
async function round({ foreign }: Mesh, number: number): Promise<void> {
  const submit = (name: string, goal: object): Promise<unknown> =>
    foreign.submit({ goalId: `${name}-${number}`, description: `${name} ${number}`, ...goal });
  const slow = { input: { delayMs: 60 } };
  await submit('line', {
    pattern: 'sequential',
    tasks: [echo('a', slow), echo('b', { dependencies: ['a'], ...slow })],
  });
  await submit('fan', {
    pattern: 'parallel',
    tasks: [echo('a'), echo('b'), echo('c'), echo('d', { dependencies: ['a', 'b', 'c'] })],
  });
  await submit('peers', { pattern: 'peer-to-peer', tasks: [echo('a', slow), echo('b', slow)] });
  await submit('again', { tasks: [echo('a', { input: { failTimes: 1 } })] });
  const rule = METHODS[number % METHODS.length];
  // Two of three voters: the third is not asked.
  const vote = { capability: 'review', voters: 2, rule, onReject: 'rework', maxReworks: 1 };
  await submit('voted', { tasks: [echo('a', { vote, input: { text: 'A fact.' } })] });
  await submit('coded', {
    tasks: [
      {
        taskId: 'a',
        capability: 'code',
        description: 'Write a brief',
        input: { text: 'One fact. Two facts.' },
        maxAttempts: 6,
      },
    ],
    budget: { usd: 1 },
  });
  await submit('gives-up', { tasks: [echo('a', { input: { failTimes: 9 }, maxAttempts: 2 })] });
  if (number % 5 === 0) await submit('brief', { input: { text: TEXT }, budget: { usd: 1 } });
  if (number % 7 === 0) {
    await submit('called-off', { tasks: [echo('a', { input: { delayMs: 5_000 } })] });
    await foreign.cancel(`called-off-${number}`, 'no longer needed');
  }
  foreign.nc.publish(
    `${foreign.mesh}.msg.${foreign.id}.echo.greeting`,
    JSON.stringify({
      id: crypto.randomUUID(),
      sender: foreign.id,
      receiver: 'echo',
      messageType: 'greeting',
      content: 'hello',
      timestamp: new Date().toISOString(),
      correlationId: 'greetings',
      hops: 0,
    }),
    { reply: `${foreign.mesh}.inbox.${foreign.id}.replies` },
  );
}

/** What happens once: each leaves a trace on a dashboard or in an alert. */
async function incidents({ mesh, agents }: World): Promise<void> {
  const { foreign, name } = mesh;
  await foreign.submit('this is no JSON');
  await foreign.submit({
    goalId: 'circle',
    description: 'x',
    tasks: [echo('a', { dependencies: ['b'] }), echo('b', { dependencies: ['a'] })],
  });
  await foreign.submit({
    goalId: 'poor',
    description: 'Brief this',
    input: { text: TEXT },
    budget: { usd: 0.000_000_1 },
  });
  await foreign.submit({
    goalId: 'nobody',
    description: 'x',
    tasks: [{ taskId: 'a', capability: 'telepathy', description: 'x' }],
  });
  // A stranger votes in every round: nobody counts it.
  foreign.nc.subscribe(`${name}.vote.review`, {
    callback: (_error, message) => {
      const { roundId } = JSON.parse(message.string()) as { roundId: string };
      const ballot = { roundId, agent: foreign.id, position: 'approve', timestamp: new Date().toISOString() };
      foreign.nc.publish(`${name}.ballot.${roundId}.${foreign.id}`, JSON.stringify(ballot));
    },
  });
  const frozen = agents.at(-1);
  if (frozen === undefined) return;
  await foreign.submit({
    goalId: 'frozen',
    description: 'x',
    tasks: Array.from({ length: 12 }, (_, index) => echo(`t${index}`, { input: { delayMs: 700 } })),
  });
  const held = await waitUntil('the agent that is to freeze has a task', async () =>
    [...(await foreign.tasks('frozen')).values()].find(
      (task) => task.status === 'in_progress' && task.agentId === 'echo-2',
    ),
  );
  await frozen.signal('SIGSTOP');
  const inOtherHands = async (): Promise<boolean> => {
    const task = (await foreign.tasks('frozen')).get(held.taskId);
    // It may have finished in the moment before it froze.
    return task !== undefined && (task.agentId !== 'echo-2' || task.status === 'completed');
  };
  try {
    await waitUntil('its task is in other hands', inOtherHands, TAKEOVER_MS_MAX);
  } finally {
    await frozen.signal('SIGCONT');
  }
}

/** Keeps the mesh busy for so long, through all incidents. */
export async function makeTraffic(world: World, seconds: number): Promise<number> {
  const endsAt = performance.now() + seconds * 1_000;
  const happening = incidents(world);
  let rounds = 0;
  while (performance.now() < endsAt) {
    const startedAt = performance.now();
    await round(world.mesh, rounds);
    rounds += 1;
    await waitUntil('the next round is due', () => performance.now() - startedAt >= ROUND_MS);
  }
  await happening;
  return rounds;
}
