/** One agent at a time looks at queues and streams for the mesh: it is another one within seconds when the first dies, freezes or leaves. */
import { expect, inject, type TestContext, test } from 'vitest';
import type { AgentProcess } from '../support/processes.ts';
import { waitUntil } from '../support/wait.ts';
import { type Mesh, openMesh } from './mesh.ts';

/** One silence, everybody's turn, the first survey, and a busy machine. */
const CHOSEN_MS_MAX = 20_000;

async function meshOf(label: string, hooks: Pick<TestContext, 'onTestFailed' | 'onTestFinished'>): Promise<Mesh> {
  const mesh = await openMesh(label, inject('natsUrl'));
  hooks.onTestFinished(() => mesh.close());
  hooks.onTestFailed(() => void process.stderr.write(`${mesh.tails()}\n`));
  return mesh;
}

async function looks(agent: AgentProcess): Promise<boolean> {
  return (await agent.metrics()).includes('\nconclave_monitor 1\n');
}

/** The only one of these that looks. */
function theMonitor(agents: readonly AgentProcess[]): Promise<AgentProcess> {
  return waitUntil(
    'one agent looks, and only one',
    async () => {
      const found = await Promise.all(agents.map(looks));
      const looking = agents.filter((_, index) => found[index]);
      return looking.length === 1 ? looking[0] : undefined;
    },
    CHOSEN_MS_MAX,
  );
}

function valueOf(text: string, series: string): number | undefined {
  const line = text.split('\n').find((each) => each.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

test('three agents, one monitor: killed, frozen and thawed, told to stop', { timeout: 120_000 }, async (hooks) => {
  const mesh = await meshOf('monitor', hooks);
  const agents = await Promise.all(['a', 'b', 'c', 'd'].map((id) => mesh.agent(id)));
  const first = await theMonitor(agents);
  for (const agent of agents.filter((each) => each !== first))
    expect(await agent.metrics()).not.toMatch(/^conclave_(queue|stream|goals_open|jetstream)\w*[{ ]/m);

  await first.signal('SIGKILL');
  const afterKill = agents.filter((agent) => agent !== first);
  const second = await theMonitor(afterKill);

  await second.signal('SIGSTOP');
  const others = afterKill.filter((agent) => agent !== second);
  await theMonitor(others);
  await second.signal('SIGCONT');
  const third = await theMonitor(afterKill);

  await third.signal('SIGTERM');
  expect(await third.exit).toMatchObject({ code: 0 });
  await theMonitor(afterKill.filter((agent) => agent !== third));
});

test('the monitor shows queues, goals, presence, streams and the account', { timeout: 120_000 }, async (hooks) => {
  const mesh = await meshOf('survey', hooks);
  const agents = [await mesh.agent('echo1', { env: { SLOTS: '1' } })];
  const slow = (taskId: string) => ({ taskId, capability: 'echo', input: { delayMs: 20_000 } });
  await mesh.foreign.submit({ goalId: 'g', description: 'x', tasks: ['a', 'b', 'c'].map(slow) });
  const monitor = await theMonitor(agents);
  const text = await waitUntil(
    'it has seen the queue',
    async () => {
      const shown = await monitor.metrics();
      return valueOf(shown, 'conclave_queue_waiting{capability="echo"}') === 2 ? shown : undefined;
    },
    CHOSEN_MS_MAX,
  );
  const expected: Readonly<Record<string, number>> = {
    'conclave_queue_held{capability="echo"}': 1,
    conclave_goals_open: 1,
    conclave_goals_waiting: 0,
    'conclave_agents{role="echo"}': 1,
    'conclave_capability_agents{capability="echo"}': 1,
    'conclave_stream_led{stream="log"}': 1,
    'conclave_stream_replicas{stream="dag"}': 1,
    'conclave_stream_replicas_current{stream="dag"}': 1,
    'conclave_stream_messages{stream="dead"}': 0,
    conclave_jetstream_storage_limit_bytes: Infinity,
  };
  for (const [series, value] of Object.entries(expected)) {
    const shown = text.split('\n').find((line) => line.startsWith(`${series} `));
    expect(shown?.replace('+Inf', 'Infinity')).toBe(`${series} ${value}`);
  }
  for (const series of [
    'conclave_queue_oldest_seconds{capability="echo"}',
    'conclave_goals_oldest_seconds',
    'conclave_jetstream_storage_bytes',
  ])
    expect(valueOf(text, series)).toBeGreaterThan(0);
  expect(valueOf(text, 'conclave_log_lag_messages')).toBeGreaterThanOrEqual(0);
});
