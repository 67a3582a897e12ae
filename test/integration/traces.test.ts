/** Traces of real processes, received by a real OTLP endpoint: one for each goal, whoever does what, and whoever is killed. */
import { headers as natsHeaders } from '@nats-io/transport-node';
import { afterAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { type Receiver, receiveTraces, type Span } from '../../deploy/trace/receiver.ts';
import { processesOf, traceOf, traceText } from '../../deploy/trace/tree.ts';
import { screenOf } from '../../services/cli/render/screen.ts';
import { jsonOf, readStream } from '../support/foreign.ts';
import { ForeignMessage, ForeignRound } from '../support/foreign-records.ts';
import { waitUntil } from '../support/wait.ts';
import { startCli } from './cli/process.ts';
import { type ModelProcess, startModel } from './model/model-process.ts';
import { meshOfFile } from './mesh.ts';

let receiver: Receiver;
let model: ModelProcess;
let traced: Record<string, string>;

const mesh = meshOfFile('traces', async (open) => {
  [receiver, model] = await Promise.all([receiveTraces(), startModel({ LOG_LEVEL: 'info' })]);
  traced = {
    OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_BSP_SCHEDULE_DELAY: '20',
    LOG_LEVEL: 'debug',
  };
  const env = { ...traced, OPENAI_BASE_URL: model.baseUrl };
  const agents = ['planner', 'researcher', 'coder', 'reviewer'].map((role) =>
    open.agent(`${role}1`, { folder: `services/${role}`, env }),
  );
  // Fewer than three reviewers are no electorate to the planner.
  const others = ['reviewer2', 'reviewer3'].map((id) => open.agent(id, { folder: 'services/reviewer', env }));
  await Promise.all([...agents, ...others]);
});
afterAll(() => receiver.close());
afterAll(() => model.stop('SIGKILL'));

const spansOf = (goalId: string): readonly Span[] => {
  const one = receiver.spans().find(({ attributes }) => attributes['conclave.goal.id'] === goalId);
  return one === undefined ? [] : receiver.spans().filter(({ traceId }) => traceId === one.traceId);
};

/** The trace once the goal's own span came, and every parent. */
async function wholeTrace(
  goalId: string,
  also: (spans: readonly Span[]) => boolean = () => true,
): Promise<readonly Span[]> {
  try {
    return await waitUntil(`the trace of ${goalId} is whole`, () => {
      const spans = spansOf(goalId);
      const { roots, orphans } = traceOf(spans);
      const goal = spans.some(({ name }) => name.startsWith('invoke_workflow'));
      return goal && roots.length <= 1 && orphans.length === 0 && also(spans) ? spans : undefined;
    });
  } catch (error) {
    throw new Error(`${String(error)}\n${traceText(screenOf(200, false), spansOf(goalId))}`, { cause: error });
  }
}

const named = (spans: readonly Span[], name: string) => spans.filter((span) => span.name === name);
const attribute = (spans: readonly Span[], name: string) => spans.map(({ attributes }) => attributes[name]);

/** Who is told that the round is over before it made up its mind says nothing; that is no fault. */
function expectVotes(votes: readonly Span[], position = 'approve'): void {
  const said = votes.filter(({ attributes }) => attributes['conclave.vote.unsaid'] === undefined);
  expect(said.length).toBeGreaterThanOrEqual(2);
  expect(attribute(said, 'conclave.vote.position')).toEqual(said.map(() => position));
  for (const vote of votes.filter((span) => !said.includes(span))) {
    expect(vote.attributes).toMatchObject({ 'conclave.vote.unsaid': 'over' });
    expect(vote.attributes).not.toHaveProperty('conclave.vote.position');
    expect(vote.error).toBeUndefined();
  }
}

describe('a goal that is planned, worked on, and voted on', () => {
  test('is one trace from its submission to its end, and every span hangs below another', async () => {
    const env = { ...traced, NATS_URL: mesh().url, MESH: mesh().name };
    const cli = startCli(['submit', 'Brief this text', '--goal-id', 'brief', '--input', '-', '--wait'], {
      env,
      stdin: 'Port Ellery is a harbour town of 18,400 people. The council voted 14 to 5 for a microgrid in 2031.',
    });
    expect(await cli.end(), cli.stderr()).toBe(0);
    const rounds = await mesh().foreign.revisions('round.*');
    const { roster: voters } = ForeignRound.parse(rounds[0]?.record);
    const spans = await wholeTrace(
      'brief',
      (found) => named(found, `process ${mesh().name}.vote.review`).length === voters.length,
    );

    const { roots } = traceOf(spans);
    expect(new Set(spans.map(({ traceId }) => traceId)).size).toBe(1);
    expect(new Set(spans.map(({ spanId }) => spanId)).size).toBe(spans.length);
    expect(roots.map(({ span }) => span.name)).toEqual([`send ${mesh().name}.goals.submit`]);
    const [goal] = roots[0]?.children ?? [];
    expect(goal?.span).toMatchObject({
      name: 'invoke_workflow orchestrator',
      attributes: {
        'gen_ai.operation.name': 'invoke_workflow',
        'gen_ai.conversation.id': 'brief',
        'conclave.goal.status': 'completed',
      },
    });
    const below = goal?.children.map(({ span }) => span.name) ?? [];
    expect(below.filter((name) => name !== `process ${mesh().name}.goals.submit`)).toEqual([
      'plan',
      'invoke_agent research',
      'invoke_agent code',
      'invoke_agent review',
    ]);
    expect(below).toContain(`process ${mesh().name}.goals.submit`);
    // The command line, the planner, the researcher, the coder, and the reviewers.
    expect(processesOf(spans).size).toBeGreaterThanOrEqual(5);

    const round = spans.find(({ name }) => name === 'vote review');
    expect(round?.attributes).toMatchObject({ 'conclave.round.outcome': 'approve', 'conclave.task.id': 't2' });
    expect(round?.events.map(({ name }) => name)).toContain('ballot counted');
    expect(spans.find(({ spanId }) => spanId === round?.parentId)?.name).toBe('invoke_agent code');
    const votes = named(spans, `process ${mesh().name}.vote.review`);
    expect(votes.every(({ parentId }) => parentId === round?.spanId)).toBe(true);
    expectVotes(votes);
  });

  test('names its calls to the model as the conventions do, each below the attempt or the vote that made it', async () => {
    const spans = await wholeTrace('brief');
    const calls = named(spans, 'chat conclave-offline-1');
    expect(calls.length).toBeGreaterThanOrEqual(6);
    for (const call of calls) {
      expect(call.kind).toBe(3);
      expect(call.attributes).toMatchObject({
        'gen_ai.operation.name': 'chat',
        'gen_ai.provider.name': 'conclave.offline',
        'gen_ai.request.model': 'conclave-offline-1',
        'gen_ai.response.model': 'conclave-offline-1',
        'gen_ai.conversation.id': 'brief',
        'gen_ai.output.type': 'json',
        'server.address': '127.0.0.1',
        'conclave.model.offline': true,
      });
      expect(call.attributes['gen_ai.usage.input_tokens']).toBeGreaterThan(0);
      expect(call.attributes['gen_ai.usage.output_tokens']).toBeGreaterThan(0);
      const above = spans.find(({ spanId }) => spanId === call.parentId);
      expect(above?.name).toMatch(/^(plan|invoke_agent .*|process .*\.vote\.review)$/);
      expect(above?.resource['service.instance.id']).toBe(call.resource['service.instance.id']);
    }
    // The account of the goal, to the last call; a voter may have made up its mind after the goal's end.
    const [account] = (await mesh().foreign.revisions('ledger.brief')).toReversed();
    const { byAgent } = z.object({ byAgent: z.record(z.string(), z.number()) }).parse(account?.record);
    const sum = (amounts: readonly number[]) => amounts.reduce((all, each) => all + each, 0);
    expect(sum(calls.map(({ attributes }) => Number(attributes['conclave.cost.usd'])))).toBeCloseTo(
      sum(Object.values(byAgent)),
      9,
    );
  });

  test('gives its ids to the lines of the log that are about it', async () => {
    const [{ traceId } = { traceId: '' }] = await wholeTrace('brief');
    const lines = mesh()
      .agents()
      .flatMap((agent) => agent.records())
      .filter((line) => line['goalId'] === 'brief');
    const events = ['goal.accepted', 'goal.ended', 'task.started', 'task.ended', 'vote.decided'];
    for (const event of events) {
      const about = lines.filter((line) => line.event === event);
      expect(about.length, event).toBeGreaterThan(0);
      for (const line of about) expect([event, line['trace_id']]).toEqual([event, traceId]);
    }
    const spans = new Set(spansOf('brief').map(({ spanId }) => spanId));
    for (const line of lines.filter(({ event }) => event === 'task.ended'))
      expect(spans.has(String(line['span_id'])), JSON.stringify(line)).toBe(true);
  });
});

describe('a task whose agent is killed', () => {
  test('is in the trace with the attempt that was lost and the one that went on', async () => {
    const victim = await mesh().agent('echo-victim', { env: traced });
    await mesh().foreign.submit({
      goalId: 'killed',
      description: 'x',
      tasks: [{ taskId: 'slow', capability: 'echo', input: { delayMs: 1_500 } }],
    });
    await waitUntil(
      'it is being worked on',
      async () => (await mesh().foreign.task('killed', 'slow'))?.status === 'in_progress',
    );
    await victim.signal('SIGKILL');
    await mesh().agent('echo-heir', { env: traced });
    await mesh().foreign.ended('killed');
    const spans = await wholeTrace('killed', (found) => named(found, 'invoke_agent echo').length === 2);
    const attempts = named(spans, 'invoke_agent echo').toSorted((a, b) => a.startMs - b.startMs);
    expect(attribute(attempts, 'conclave.task.attempt')).toEqual([1, 2]);
    expect(attribute(attempts, 'conclave.agent.id')).toEqual(['echo-victim', 'echo-heir']);
    expect(attribute(attempts, 'conclave.task.transition')).toEqual(['takeover', 'complete']);
    expect(attribute(attempts, 'error.type')).toEqual(['lease_expired', undefined]);
    expect(attempts[0]?.error).toContain('echo-victim lost its lease');
    // Told by the heir, for the dead tell nothing.
    expect(attempts.map(({ resource }) => resource['service.instance.id'])).toEqual(['echo-heir', 'echo-heir']);
    // Nobody gave this goal a context: its trace begins with the goal itself.
    expect(traceOf(spans).roots.map(({ span }) => span.name)).toEqual(['invoke_workflow orchestrator']);
  });

  test('and one that fails, and is tried again, has a span for each attempt', async () => {
    await mesh().foreign.submit({
      goalId: 'flaky',
      description: 'x',
      tasks: [{ taskId: 'a', capability: 'echo', input: { failTimes: 2 } }],
    });
    await mesh().foreign.ended('flaky');
    const spans = await wholeTrace('flaky', (found) => named(found, 'invoke_agent echo').length === 3);
    const attempts = named(spans, 'invoke_agent echo').toSorted((a, b) => a.startMs - b.startMs);
    expect(attribute(attempts, 'conclave.task.transition')).toEqual(['retry', 'retry', 'complete']);
    expect(attempts.map(({ error }) => error !== undefined)).toEqual([true, true, false]);
    expect(new Set(attempts.map(({ spanId }) => spanId)).size).toBe(3);
  });
});

describe('a context that comes from outside', () => {
  const SPAN = 'dead00beef00dead';
  let traces = 0;
  /** Of a trace of its own for each test. */
  function foreignTrace(): { readonly traceId: string; readonly traceparent: string } {
    traces += 1;
    const traceId = `c0ffee00c0ffee00c0ffee00c0ffee0${traces}`;
    return { traceId, traceparent: `00-${traceId}-${SPAN}-01` };
  }

  async function submitWith(header: string, submission: object): Promise<void> {
    const h = natsHeaders();
    h.set('traceparent', header);
    await mesh().foreign.js.publish(`${mesh().name}.goals.submit`, JSON.stringify(submission), { headers: h });
  }

  test('is gone on with: the goal hangs below the span of whoever submitted it', async () => {
    const { traceId, traceparent } = foreignTrace();
    await submitWith(traceparent, { goalId: 'theirs', description: 'x', tasks: [{ taskId: 'a', capability: 'echo' }] });
    expect(await mesh().foreign.ended('theirs')).toMatchObject({ status: 'completed' });
    const spans = await waitUntil('its spans came', () => {
      const found = spansOf('theirs');
      return found.length === 3 ? found : undefined;
    });
    expect(new Set(spans.map((span) => span.traceId))).toEqual(new Set([traceId]));
    const goal = spans.find(({ name }) => name === 'invoke_workflow orchestrator');
    expect(goal?.parentId).toBe(SPAN);
    expect(spans.filter((span) => span !== goal).every(({ parentId }) => parentId === goal?.spanId)).toBe(true);
    // It stands where the work stands, so that it outlives every process.
    const keys = ['goal.theirs', 'task.theirs.a'];
    for (const key of keys) {
      for (const { record } of await mesh().foreign.revisions(key)) expect(record).toMatchObject({ traceparent });
    }
  });

  test('is not believed when it is none', async () => {
    await submitWith('00-nonsense', { goalId: 'odd', description: 'x', tasks: [{ taskId: 'a', capability: 'echo' }] });
    await mesh().foreign.ended('odd');
    const spans = await wholeTrace('odd');
    expect(spans[0]?.traceId).toMatch(/^(?!0{32})[0-9a-f]{32}$/);
    expect((await mesh().foreign.revisions('goal.odd'))[0]?.record).not.toHaveProperty('traceparent');
  });

  test('that is not to be kept is not kept, and passed on', async () => {
    const unsampled = `00-${'ab'.repeat(16)}-${SPAN}-00`;
    const { traceparent } = foreignTrace();
    await submitWith(unsampled, { goalId: 'dark', description: 'x', tasks: [{ taskId: 'a', capability: 'echo' }] });
    await submitWith(traceparent, { goalId: 'light', description: 'x', tasks: [{ taskId: 'a', capability: 'echo' }] });
    await mesh().foreign.ended('dark');
    await mesh().foreign.ended('light');
    await waitUntil('the other one came', () => spansOf('light').length === 3);
    expect(spansOf('dark')).toEqual([]);
  });

  test('on a message is in its answer, and the receiver has a span below it', async () => {
    const { nc } = mesh().foreign;
    const m = mesh().name;
    const { traceId, traceparent } = foreignTrace();
    const h = natsHeaders();
    h.set('traceparent', traceparent);
    const body = {
      id: 'question-1',
      sender: 'stranger',
      receiver: 'echo-heir',
      messageType: 'question',
      content: 'how are you?',
      timestamp: new Date().toISOString(),
      correlationId: 'talk-7',
      hops: 0,
    };
    const reply = await nc.request(`${m}.msg.stranger.echo-heir.question`, JSON.stringify(body), {
      timeout: 5_000,
      headers: h,
    });
    expect(ForeignMessage.parse(jsonOf(reply.data)).correlationId).toBe('talk-7');
    const span = await waitUntil('its span came', () =>
      receiver.spans().find(({ attributes }) => attributes['messaging.message.id'] === 'question-1'),
    );
    expect(span).toMatchObject({
      name: `process ${m}.msg.{sender}.{receiver}.question`,
      kind: 5,
      traceId,
      parentId: SPAN,
      attributes: {
        'messaging.system': 'nats',
        'messaging.operation.type': 'process',
        'messaging.destination.name': `${m}.msg.stranger.echo-heir.question`,
        'messaging.message.conversation_id': 'talk-7',
      },
    });
    expect(reply.headers?.get('traceparent')).toBe(`00-${traceId}-${span.spanId}-01`);
  });

  test('in the environment of the command line is gone on with', async () => {
    const { traceId, traceparent } = foreignTrace();
    const env = { ...traced, NATS_URL: mesh().url, MESH: mesh().name, TRACEPARENT: traceparent };
    const cli = startCli(['submit', 'x', '--goal-id', 'ci', '--tasks', '-'], {
      env,
      stdin: '[{"taskId":"a","capability":"echo"}]',
    });
    expect(await cli.end(), cli.stderr()).toBe(0);
    const spans = await waitUntil('its spans came', () => (spansOf('ci').length === 4 ? spansOf('ci') : undefined));
    expect(spans.find(({ name }) => name.startsWith('send '))).toMatchObject({ traceId, parentId: SPAN });
  });
});

describe('a vote', () => {
  test('held from the command line is a trace of its own: the round, and a span for each voter', async () => {
    const env = { ...traced, NATS_URL: mesh().url, MESH: mesh().name };
    const cli = startCli(
      [
        'vote',
        'Ship it?',
        '--options',
        'yes,no',
        '--electorate',
        'review',
        '--round-id',
        'ship',
        '--timeout-ms',
        '20000',
      ],
      { env },
    );
    await cli.end();
    const spans = await waitUntil('its spans came', () => {
      const round = receiver
        .spans()
        .find(({ attributes, name }) => name === 'vote review' && attributes['conclave.round.id'] === 'ship');
      const found = receiver.spans().filter(({ traceId }) => traceId === round?.traceId);
      return named(found, `process ${mesh().name}.vote.review`).length === 3 ? found : undefined;
    });
    expect(traceOf(spans).roots.map(({ span }) => span.name)).toEqual(['vote review']);
    expect(traceOf(spans).orphans).toEqual([]);
    // Each ballot that was said carries the context of whoever said it.
    const votes = named(spans, `process ${mesh().name}.vote.review`);
    const said = votes.filter(({ attributes }) => attributes['conclave.vote.unsaid'] === undefined);
    const jsm = await mesh().foreign.manager();
    const log = `${mesh().name}_log`;
    const ballots = await readStream(mesh().foreign.nc, log, `${mesh().name}.ballot.ship.*`);
    const contexts = ballots.map(async ({ sequence }) =>
      (await jsm.streams.getMessage(log, { seq: sequence }))?.header.get('traceparent'),
    );
    expect(new Set(await Promise.all(contexts))).toEqual(
      new Set(said.map(({ traceId, spanId }) => `00-${traceId}-${spanId}-01`)),
    );
    expect(ballots).toHaveLength(said.length);
    expect(said.length).toBeGreaterThanOrEqual(2);
  });
});
