/** Agents without a collector: what comes with a context goes on with it, and nothing of tracing is loaded. And collectors that are not what they seem. */
import { pathToFileURL } from 'node:url';
import { headers as natsHeaders } from '@nats-io/transport-node';
import { expect, test } from 'vitest';
import { receiveTraces } from '../../deploy/trace/receiver.ts';
import { waitUntil } from '../support/wait.ts';
import { startCli } from './cli/process.ts';
import { meshOfFile } from './mesh.ts';

const mesh = meshOfFile('untraced', (open) => Promise.all([open.agent('echo1'), open.agent('echo2')]));
const TRACE = 'feed0000feed0000feed0000feed0000';
const SPAN = '1234567812345678';
const traceparent = `00-${TRACE}-${SPAN}-01`;
const REPORT = `--import=${pathToFileURL(new URL('../support/report-modules.ts', import.meta.url).pathname).href}`;

async function submitWith(header: string, submission: object): Promise<void> {
  const h = natsHeaders();
  h.set('traceparent', header);
  await mesh().foreign.js.publish(`${mesh().name}.goals.submit`, JSON.stringify(submission), { headers: h });
}

/** The trace contexts of all messages of the log whose subject begins so. */
async function contextsOn(subject: string): Promise<string[]> {
  const jsm = await mesh().foreign.manager();
  const log = `${mesh().name}_log`;
  const found: string[] = [];
  const { state } = await jsm.streams.info(log);
  for (let seq = 1; seq <= state.last_seq; seq += 1) {
    const message = await jsm.streams.getMessage(log, { seq });
    if (message?.subject.startsWith(subject) === true) found.push(message.header.get('traceparent'));
  }
  return found;
}

test('the context of a submission is in its records, in what is said about it, and in the lines of the log', async () => {
  const vote = { capability: 'echo', rule: { method: 'majority', quorum: 1 }, onReject: 'fail' };
  await submitWith(traceparent, {
    goalId: 'theirs',
    description: 'x',
    tasks: [{ taskId: 'a', capability: 'echo', vote, maxAttempts: 1 }],
  });
  await mesh().foreign.ended('theirs');
  const records = [
    ...(await mesh().foreign.revisions('goal.theirs')),
    ...(await mesh().foreign.revisions('task.theirs.a')),
  ];
  for (const { record } of records) expect(record).toMatchObject({ traceparent });
  expect(await contextsOn(`${mesh().name}.vote.echo`)).toEqual([traceparent]);
  const ballots = await waitUntil('the ballot is logged', async () => {
    const found = await contextsOn(`${mesh().name}.ballot.`);
    return found.length > 0 ? found : undefined;
  });
  expect(ballots).toEqual([traceparent]);
  const lines = mesh()
    .agents()
    .flatMap((agent) => agent.records());
  for (const event of ['goal.ended', 'task.attempt_failed', 'vote.answered']) {
    const line = await waitUntil(`${event} is logged`, () =>
      lines
        .concat(
          mesh()
            .agents()
            .flatMap((agent) => agent.records()),
        )
        .find((each) => each.event === event),
    );
    expect([event, line['trace_id'], line['span_id']]).toEqual([event, TRACE, SPAN]);
  }
});

test('a goal without a context has none in its records, and none in the lines of the log', async () => {
  await mesh().foreign.submit({ goalId: 'ours', description: 'x', tasks: [{ taskId: 'a', capability: 'echo' }] });
  await mesh().foreign.ended('ours');
  for (const { record } of await mesh().foreign.revisions('goal.ours'))
    expect(record).not.toHaveProperty('traceparent');
  const line = await waitUntil('its end is logged', () =>
    mesh()
      .agents()
      .flatMap((agent) => agent.records())
      .find((each) => each.event === 'goal.ended' && each['goalId'] === 'ours'),
  );
  expect(line).not.toHaveProperty('trace_id');
});

/** Asks one agent a question, with this context; the context of the answer. */
async function ask(agentId: string, header: string): Promise<string> {
  const body = {
    id: '1',
    sender: 'stranger',
    receiver: agentId,
    messageType: 'question',
    content: '?',
    timestamp: new Date().toISOString(),
    correlationId: 'c',
    hops: 0,
  };
  const h = natsHeaders();
  h.set('traceparent', header);
  const subject = `${mesh().name}.msg.stranger.${agentId}.question`;
  const answer = await mesh().foreign.nc.request(subject, JSON.stringify(body), { timeout: 5_000, headers: h });
  return answer.headers?.get('traceparent') ?? '';
}

test('the context of a message is in its answer, and what is no context is not', async () => {
  expect(await ask('echo1', traceparent)).toBe(traceparent);
  expect(await ask('echo1', `${traceparent} or 1=1`)).toBe('');
});

test.for([
  { on: false, env: {} },
  { on: false, env: { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1', OTEL_SDK_DISABLED: 'true' } },
  { on: false, env: { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1', OTEL_TRACES_EXPORTER: 'none' } },
  { on: true, env: { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' } },
])('an agent loads OpenTelemetry only when somebody wants traces: $on with $env', async ({ on, env }) => {
  const agent = await mesh().agent(`loads-${crypto.randomUUID().slice(0, 6)}`, {
    env: { ...env, NODE_OPTIONS: REPORT },
  });
  await mesh().foreign.submit({ description: 'x', tasks: [{ taskId: 'a', capability: 'echo' }] });
  await agent.signal('SIGTERM');
  const { code, stderr } = await agent.exit;
  const loaded = new Set([...stderr.matchAll(/^loaded (.+)$/gm)].map(([, name]) => name ?? ''));
  expect(code).toBe(0);
  expect(loaded).toContain('pino');
  // The metrics' library loads the bare API by itself.
  const tracing = [...loaded].filter((name) => name.startsWith('@opentelemetry/') && name !== '@opentelemetry/api');
  expect(tracing.includes('@opentelemetry/sdk-trace')).toBe(on);
  expect(tracing.length > 0).toBe(on);
});

test('nor does the command line', async () => {
  const env = { NATS_URL: mesh().url, MESH: mesh().name, NODE_OPTIONS: REPORT };
  const cli = startCli(['submit', 'x', '--tasks', '-'], { env, stdin: '[{"taskId":"a","capability":"echo"}]' });
  expect(await cli.end()).toBe(0);
  expect(cli.stderr()).toContain('loaded commander');
  expect(cli.stderr()).not.toContain('@opentelemetry');
});

test('a collector that is away is said in the log, and nothing waits for it', async () => {
  const env = {
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1',
    OTEL_BSP_SCHEDULE_DELAY: '20',
    OTEL_EXPORTER_OTLP_TIMEOUT: '200',
  };
  const agent = await mesh().agent('alone', { env });
  expect(await ask('alone', traceparent)).toContain(TRACE);
  const line = await agent.logged('trace.trouble');
  expect(line['level']).toBe(40);
  await agent.signal('SIGTERM');
  expect((await agent.exit).code).toBe(0);
});

test('spans go out as protobuf unless JSON is asked for, as the standard has it', async () => {
  const receiver = await receiveTraces();
  const env = {
    OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
    OTEL_BSP_SCHEDULE_DELAY: '20',
    OTEL_SERVICE_NAME: 'renamed',
  };
  const agent = await mesh().agent('proto', { env });
  expect(await ask('proto', traceparent)).toContain(TRACE);
  const post = await waitUntil('spans came', () => receiver.others()[0]);
  expect(post.type).toBe('application/x-protobuf');
  expect(Buffer.from(post.body).includes(Buffer.from(TRACE, 'hex'))).toBe(true);
  expect(Buffer.from(post.body).includes('renamed')).toBe(true);
  await agent.signal('SIGTERM');
  await agent.exit;
  await receiver.close();
});

test.for([
  [
    { OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' },
    /^OTEL_EXPORTER_OTLP_PROTOCOL: expected http\/protobuf or http\/json .*, got "grpc"$/,
  ],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4317' }, /^OTEL_EXPORTER_OTLP_ENDPOINT: expected an http or https URL/],
  [
    { OTEL_EXPORTER_OTLP_ENDPOINT: 'ftp://u:secret@h' },
    /^OTEL_EXPORTER_OTLP_ENDPOINT: expected .*, got something else$/,
  ],
  [{ OTEL_TRACES_EXPORTER: 'jaeger' }, /^OTEL_TRACES_EXPORTER: expected otlp or none, got "jaeger"$/],
  [{ OTEL_TRACES_SAMPLER: 'mine' }, /^OTEL_TRACES_SAMPLER: expected always_on,/],
] as const)('a value that cannot be used ends the agent with one line: %j', async ([variables, line]) => {
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1', ...variables };
  const { code, stderr } = await mesh().launch('wrong', { env }).exit;
  expect([code, stderr.trim()]).toEqual([78, expect.stringMatching(line)]);
});
