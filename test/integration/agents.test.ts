/** Agents as processes: what they say of themselves, how they start, stop, and refuse to start. */
import { describe, expect, inject, test } from 'vitest';
import { startBroker } from '../support/broker.ts';
import { connectForeign } from '../support/foreign.ts';
import { endProcess, type Exit, startProcess } from '../support/processes.ts';
import { waitUntil } from '../support/wait.ts';
import { meshOfFile } from './mesh.ts';

const GONE_MS_MAX = 10_000;
const EXIT_CONFIG = 78;
const ECHO = 'services/echo';

const mesh = meshOfFile('agents', (open) => Promise.all([open.agent('echo1'), open.agent('echo2')]));
const foreign = () => mesh().foreign;

/** Every name that PROTOCOL lists. */
const METRICS = `conclave_goals_total conclave_goal_duration_seconds conclave_tasks_total conclave_task_duration_seconds
  conclave_task_queue_seconds conclave_tasks_in_progress conclave_transitions_total conclave_messages_total conclave_message_bytes_total
  conclave_vote_rounds_total conclave_vote_round_seconds conclave_ballots_total conclave_breaker_state conclave_retries_total
  conclave_model_tokens_total conclave_model_seconds conclave_cost_usd_total conclave_budget_refusals_total conclave_dead_letters_total
  conclave_sweep_repairs_total process_cpu_user_seconds_total nodejs_eventloop_lag_seconds`.split(/\s+/);

test('agents answer the micro-service protocol with who they are and what they can do', async () => {
  for (const verb of ['PING', 'INFO', 'STATS'] as const) {
    const answers = await foreign().services(verb, 2);
    expect(answers.map((answer) => answer['type'])).toEqual(
      [1, 2].map(() => `io.nats.micro.v1.${verb.toLowerCase()}_response`),
    );
    for (const answer of answers) {
      expect(answer).toMatchObject({
        name: expect.any(String),
        id: expect.any(String),
        version: expect.stringMatching(/^\d+\.\d+\.\d+/),
      });
      expect(answer['metadata']).toMatchObject({
        mesh: mesh().name,
        agentId: expect.stringMatching(/^echo[12]$/),
        role: 'echo',
        capabilities: 'echo',
        version: expect.any(String),
      });
    }
    expect(new Set(answers.map((answer) => answer['id'])).size).toBe(2);
  }
  const [one] = await foreign().services('PING', 2);
  const [again] = await foreign().services('PING', 1, `.${String(one?.['name'])}.${String(one?.['id'])}`);
  expect(again).toEqual(one);
});

test('INFO has the contract of each capability, STATS its figures', async () => {
  await foreign().submit({ goalId: 'counted', description: 'x', tasks: [{ taskId: 'a', capability: 'echo' }] });
  await foreign().ended('counted');
  const [info = {}] = await foreign().services('INFO', 2);
  const [endpoint] = info['endpoints'] as { readonly name: string; readonly metadata: Record<string, string> }[];
  expect(endpoint).toMatchObject({ name: 'echo', metadata: { description: expect.any(String) } });
  const input: unknown = JSON.parse(endpoint?.metadata['input'] ?? '');
  expect(JSON.stringify(input)).toContain('delayMs');
  expect(JSON.parse(endpoint?.metadata['output'] ?? '')).toBeTypeOf('object');
  const stats = await foreign().services('STATS', 2);
  const counts = stats.flatMap(
    (answer) => answer['endpoints'] as { readonly num_requests: number; readonly processing_time: number }[],
  );
  expect(counts.reduce((sum, each) => sum + each.num_requests, 0)).toBeGreaterThan(0);
  expect(counts.every((each) => Number.isInteger(each.processing_time))).toBe(true);
});

test('STATS counts every failed attempt, and names the last error by its code alone', async () => {
  const errors = async () => {
    const stats = await foreign().services('STATS', 2);
    return stats.flatMap(
      (answer) => answer['endpoints'] as { readonly num_errors: number; readonly last_error?: string }[],
    );
  };
  const sum = (found: readonly { readonly num_errors: number }[]) =>
    found.reduce((all, each) => all + each.num_errors, 0);
  const before = sum(await errors());
  const task = (taskId: string, failTimes: number) => ({
    taskId,
    capability: 'echo',
    input: { failTimes },
    maxAttempts: 2,
  });
  await foreign().submit({ goalId: 'recovers', description: 'x', tasks: [task('a', 1)] });
  await foreign().submit({ goalId: 'gives-up', description: 'x', tasks: [task('a', 9)] });
  expect(await foreign().ended('recovers')).toMatchObject({ status: 'completed' });
  expect(await foreign().ended('gives-up')).toMatchObject({ status: 'failed' });
  const after = await errors();
  expect(sum(after) - before).toBe(3);
  expect(after.flatMap((each) => each.last_error ?? [])).toContain('echo_failed');
});

test('health, readiness and every metric of the protocol are served', async () => {
  const agent = await mesh().agent('served');
  const origin = await agent.origin();
  expect((await fetch(`${origin}/healthz`)).status).toBe(200);
  expect((await fetch(`${origin}/readyz`)).status).toBe(200);
  const text = await agent.metrics();
  const served = new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map((match) => match[1]));
  expect(METRICS.filter((name) => !served.has(name))).toEqual([]);
  expect(text).not.toMatch(/goal_?id|task_?id/i);
  await agent.signal('SIGTERM');
  expect(await agent.exit).toMatchObject({ code: 0 });
});

describe.concurrent('life and death', () => {
  test('presence is renewed while an agent lives, and gone within 10 s of its death', async () => {
    const agent = await mesh().agent('mortal');
    const first = await waitUntil('it is present', () => foreign().presence('mortal'));
    expect(first.record).toMatchObject({
      agentId: 'mortal',
      role: 'echo',
      capabilities: ['echo'],
      load: { running: 0, slots: 8 },
    });
    const renewed = await waitUntil('it is renewed', async () => {
      const found = await foreign().presence('mortal');
      return found !== undefined && found.revision > first.revision ? found : undefined;
    });
    expect(renewed.record.startedAt).toBe(first.record.startedAt);
    await agent.signal('SIGKILL');
    await waitUntil('it is gone', async () => (await foreign().presence('mortal')) === undefined, GONE_MS_MAX);
  });

  test('a second process with the same AGENT_ID ends with one line', async () => {
    const { code, stderr } = await mesh().launch('echo1').exit;
    expect(code).toBe(EXIT_CONFIG);
    expect(linesOf(stderr)).toEqual([expect.stringContaining('AGENT_ID')]);
    expect(await foreign().presence('echo1')).toBeDefined();
  });

  test('an id is free again as soon as its process has ended', async () => {
    const first = await mesh().agent('reborn');
    await first.signal('SIGKILL');
    await first.exit;
    const second = await mesh().agent('reborn');
    await second.signal('SIGTERM');
    expect(await second.exit).toMatchObject({ code: 0 });
    expect(await foreign().presence('reborn')).toBeUndefined();
  });

  test('SIGTERM lets a running task finish, and ends with code 0', async ({ onTestFinished }) => {
    const m = `${mesh().name}-drain`;
    const env = { NATS_URL: mesh().url, MESH: m, AGENT_ID: 'only' };
    const agent = startProcess({ folder: ECHO, env });
    onTestFinished(() => endProcess(agent));
    await agent.logged('agent.ready');
    const stranger = await connectForeign(mesh().url, m);
    onTestFinished(() => stranger.close());
    await stranger.submit({
      goalId: 'g',
      description: 'drain',
      tasks: [
        { taskId: 'a', capability: 'echo', input: { delayMs: 1_500 } },
        { taskId: 'b', capability: 'echo', dependencies: ['a'] },
      ],
    });
    await waitUntil('it runs', async () => (await stranger.task('g', 'a'))?.status === 'in_progress');
    await agent.signal('SIGTERM');
    await agent.logged('agent.draining');
    const readyz = await fetch(`${await agent.origin()}/readyz`).then((response) => response.status);
    expect(readyz).toBe(503);
    expect(await agent.exit).toMatchObject({ code: 0, signal: null, stderr: '' });
    expect(await stranger.task('g', 'a')).toMatchObject({ status: 'completed', attempt: 1, agentId: 'only' });
    expect(await stranger.presence('only')).toBeUndefined();
    const heir = startProcess({ folder: ECHO, env: { ...env, AGENT_ID: 'heir' } });
    onTestFinished(() => endProcess(heir));
    expect(await stranger.ended('g')).toMatchObject({ status: 'completed' });
  });

  test('without a broker an agent says so once a try, and becomes ready when it comes', async ({ onTestFinished }) => {
    const broker = await startBroker();
    onTestFinished(() => broker.stop());
    await broker.kill('SIGKILL');
    const agent = startProcess({ folder: ECHO, env: { NATS_URL: broker.url, AGENT_ID: 'early' } });
    onTestFinished(() => endProcess(agent));
    const tries = () => agent.records().filter((record) => record.event === 'broker.unreachable');
    await waitUntil('it has tried three times', () => tries().length >= 3, 30_000);
    for (const record of tries()) expect(record['msg']).toContain(broker.url);
    const origin = await agent.origin();
    expect((await fetch(`${origin}/healthz`)).status).toBe(200);
    const readiness = await fetch(`${origin}/readyz`);
    expect(readiness.status).toBe(503);
    expect(await readiness.text()).toContain('broker');
    await broker.restart();
    await agent.logged('agent.ready');
    expect((await fetch(`${origin}/readyz`)).status).toBe(200);
  });
});

describe.concurrent('a wrong environment ends the process with one line and code 78', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['MESH', 'two.tokens'],
    ['AGENT_ID', 'a b'],
    ['AGENT_ID', '>'],
    ['HTTP_PORT', '65536'],
    ['HTTP_PORT', 'taken'],
    ['SLOTS', '0'],
    ['LOG_LEVEL', 'loud'],
    ['NATS_URL', 'not an address'],
    ['NATS_URL', 'nats://user:SUSECRET@no such host'],
    ['NATS_CREDS', '/nowhere/agent.creds'],
    ['NATS_NKEY_SEED', 'SUSECRETSECRET'],
    ['NATS_NKEY_SEED_FILE', '/nowhere/agent.seed'],
    ['NATS_CA', '/nowhere/ca.crt'],
    ['OPENAI_BASE_URL', 'ftp://example.org'],
    ['MODEL_TIMEOUT_MS', '99'],
    ['MODEL_TIMEOUT_MS', 'soon'],
    ['MODEL_ATTEMPTS', '0'],
    ['MODEL_OUTPUT_LIMIT', 'max'],
  ];

  test.for(cases)('%s=%s', async ([name, given], { onTestFinished }) => {
    const value = given === 'taken' ? new URL(inject('natsUrl')).port : given;
    const agent = startProcess({ folder: ECHO, env: { NATS_URL: inject('natsUrl'), [name]: value } });
    onTestFinished(() => endProcess(agent));
    const { code, stderr, stdout } = await exitOf(agent.exit);
    expect({ code, stdout }).toMatchObject({ code: EXIT_CONFIG });
    expect(linesOf(stderr)).toEqual([expect.stringContaining(name)]);
    expect(stderr).toMatch(/expected/);
    expect(stdout + stderr).not.toContain('SUSECRET');
  });
});

/** A process that does not refuse would run for ever. */
async function exitOf(exit: Promise<Exit>): Promise<Exit> {
  const ended: Exit[] = [];
  void exit.then((value) => ended.push(value));
  return waitUntil('it ends by itself', () => ended[0], 20_000);
}

function linesOf(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}
