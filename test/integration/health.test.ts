/** `/readyz` says why not: a broker that is frozen, a stream that is gone, a model that is not there or fails. Real processes, real faults. */
import { expect, inject, type TestContext, test } from 'vitest';
import { startBroker } from '../support/broker.ts';
import { freePort } from '../support/free-port.ts';
import type { AgentProcess } from '../support/processes.ts';
import { waitUntil } from '../support/wait.ts';
import { type Mesh, openMesh } from './mesh.ts';
import { startModel } from './model/model-process.ts';

/** A frozen broker is noticed within this. */
const NOTICED_MS_MAX = 5_000;
/** SCORECARD R5: progress within 10 s of the end of a fault. */
const PROGRESS_MS_MAX = 10_000;

interface Readiness {
  readonly code: number;
  readonly body: {
    readonly status: string;
    readonly unready: readonly string[];
    readonly checks: readonly {
      readonly check: string;
      readonly ok: boolean;
      readonly reason?: string;
      readonly since: string;
    }[];
  };
}

async function readyz(agent: AgentProcess): Promise<Readiness> {
  const response = await fetch(`${await agent.origin()}/readyz`);
  return { code: response.status, body: (await response.json()) as Readiness['body'] };
}

/** The reason of a failed check. */
function failing(agent: AgentProcess, check: string, timeoutMs?: number): Promise<string> {
  return waitUntil(
    `${check} fails`,
    async () => (await readyz(agent)).body.checks.find((each) => each.check === check && !each.ok)?.reason,
    timeoutMs,
  );
}

function ready(agent: AgentProcess, timeoutMs?: number): Promise<Readiness> {
  const probe = async (): Promise<Readiness | undefined> => {
    const found = await readyz(agent);
    return found.code === 200 ? found : undefined;
  };
  return waitUntil('the agent is ready', probe, timeoutMs);
}

async function meshOn(
  url: string,
  label: string,
  hooks: Pick<TestContext, 'onTestFailed' | 'onTestFinished'>,
): Promise<Mesh> {
  const mesh = await openMesh(label, url);
  hooks.onTestFinished(() => mesh.close());
  hooks.onTestFailed(() => void process.stderr.write(`${mesh.tails()}\n`));
  return mesh;
}

test('an agent that can work says so, check by check', async (hooks) => {
  const mesh = await meshOn(inject('natsUrl'), 'healthy', hooks);
  const { code, body } = await ready(await mesh.agent('echo1'));
  expect({ code, ...body }).toMatchObject({ code: 200, status: 'ready', unready: [] });
  expect(body.checks.map(({ check, ok }) => [check, ok])).toEqual([
    ['broker', true],
    ['consumers', true],
    ['stopping', true],
  ]);
  for (const { since, reason } of body.checks) expect([Date.parse(since) > 0, reason]).toEqual([true, undefined]);
});

test('a frozen broker is noticed within 5 s, and work goes on when it thaws', async (hooks) => {
  const broker = await startBroker();
  hooks.onTestFinished(() => broker.stop());
  const mesh = await meshOn(broker.url, 'frozen-broker', hooks);
  const agents = await Promise.all([mesh.agent('echo1'), mesh.agent('echo2')]);
  await Promise.all(agents.map((agent) => ready(agent)));
  await mesh.foreign.submit({ goalId: 'before', description: 'x', tasks: [{ taskId: 'a', capability: 'echo' }] });
  expect(await mesh.foreign.ended('before')).toMatchObject({ status: 'completed' });

  await broker.kill('SIGSTOP');
  const frozenAt = performance.now();
  const reasons = await Promise.all(agents.map((agent) => failing(agent, 'broker', NOTICED_MS_MAX)));
  const noticedMs = performance.now() - frozenAt;
  // Whichever comes first: the agent's own question without an answer, or the client's second ping.
  for (const reason of reasons) expect(reason).toMatch(/no answer from .* for \d+ ms|connection .* broke/);
  expect(noticedMs).toBeLessThan(NOTICED_MS_MAX);
  for (const agent of agents) {
    const { code, body } = await readyz(agent);
    expect({ code, unready: body.unready }).toMatchObject({ code: 503, unready: expect.arrayContaining(['broker']) });
    expect(await agent.metrics()).toContain('conclave_ready{check="broker"} 0\n');
  }
  // Longer than the client needs to give its connection up: agents come back from there, too.
  await Promise.all(agents.map((agent) => agent.logged('broker.disconnect')));

  await broker.kill('SIGCONT');
  await Promise.all(agents.map((agent) => ready(agent, PROGRESS_MS_MAX)));
  await mesh.foreign.nc.flush();
  await mesh.foreign.submit({ goalId: 'after', description: 'x', tasks: [{ taskId: 'a', capability: 'echo' }] });
  expect(await mesh.foreign.ended('after', PROGRESS_MS_MAX)).toMatchObject({ status: 'completed' });
});

test('a queue that is gone is named, until somebody makes its stream again', async (hooks) => {
  const mesh = await meshOn(inject('natsUrl'), 'no-stream', hooks);
  const agent = await mesh.agent('echo1');
  await ready(agent);
  const stream = `KV_${mesh.name}_dag`;
  const jsm = await mesh.foreign.manager();
  await jsm.streams.delete(stream);
  const reason = await failing(agent, 'consumers', 30_000);
  expect(reason).toContain(stream);
  expect(reason).toContain('stream not found');
  // A new agent makes sure of the streams.
  await mesh.agent('echo2');
  await ready(agent, 30_000);
});

test('the model endpoint: not there, there, failing until the breaker opens, and well again', async (hooks) => {
  const port = await freePort();
  const mesh = await meshOn(inject('natsUrl'), 'no-model', hooks);
  const env = {
    OPENAI_BASE_URL: `http://127.0.0.1:${port}/v1`,
    OPENAI_API_KEY: 'k',
    OPENAI_MODEL: 'conclave-offline-1',
  };
  const agent = await mesh.agent('coder1', { folder: 'services/coder', env });
  expect(await failing(agent, 'model')).toMatch(
    `no answer from http://127.0.0.1:${port} (ECONNREFUSED); start it, or set OPENAI_BASE_URL`,
  );
  expect((await readyz(agent)).body.unready).toEqual(['model']);
  await agent.logged('health.failed');

  const model = await startModel({ HTTP_PORT: String(port) });
  hooks.onTestFinished(async () => void (await model.stop('SIGKILL')));
  await ready(agent);

  const faults = (body: object) =>
    fetch(`${model.origin}/faults`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  await faults({ rates: '500:1' });
  const code = { taskId: 'a', capability: 'code', description: 'Write', input: { text: 'One fact. Two facts.' } };
  for (const goalId of ['one', 'two', 'three']) await mesh.foreign.submit({ goalId, description: 'x', tasks: [code] });
  expect(await failing(agent, 'model', 30_000)).toContain('circuit breaker is open');
  expect(await agent.metrics()).toContain('conclave_breaker_state{breaker="model"} 2\n');

  await faults({ rates: '' });
  await ready(agent, 30_000);
  for (const goalId of ['one', 'two', 'three']) await mesh.foreign.ended(goalId, 60_000);
  await mesh.foreign.submit({ goalId: 'four', description: 'x', tasks: [code] });
  expect(await mesh.foreign.ended('four')).toMatchObject({ status: 'completed' });
}, 120_000);
