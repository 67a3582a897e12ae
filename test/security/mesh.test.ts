/** A whole mesh under the generated users, with signatures: it works, the broker denies it nothing, and its secrets stay where they are. */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { holdRound } from '../../shared/runtime/vote/proposer.ts';
import { signedBus, type SignatureFault } from '../../shared/runtime/signed-bus.ts';
import { SIGNATURE_HEADER, signatureOf, signingKey } from '../../shared/runtime/signatures.ts';
import { natsBus } from '../../shared/adapters/nats-bus.ts';
import { natsDagStore } from '../../shared/adapters/nats-dag.ts';
import { newUserKey } from '../../shared/adapters/nats-keys.ts';
import { natsRegistry } from '../../shared/adapters/nats-registry.ts';
import { systemClock } from '../../shared/runtime/broker.ts';
import { subjectsOf } from '../../shared/protocol/subjects.ts';
import { headers, type NatsConnection } from '@nats-io/transport-node';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { type ModelProcess, startModel } from '../integration/model/model-process.ts';
import { type AgentProcess, startProcess } from '../support/processes.ts';
import { type Receiver, receiveTraces, type Span } from '../../deploy/trace/receiver.ts';
import { traceOf } from '../../deploy/trace/tree.ts';
import { waitUntil } from '../support/wait.ts';
import { MESH, type Secured, startSecured } from './secured.ts';

const API_KEY = `key-${randomUUID()}`;
const subjects = subjectsOf(MESH);

describe('a mesh under least privilege', () => {
  let secured: Secured;
  let receiver: Receiver;
  let agents: AgentProcess[] = [];
  let model: ModelProcess;

  function start(role: string, env: Readonly<Record<string, string>> = {}): AgentProcess {
    const started = startProcess({
      folder: `services/${role}`,
      env: {
        NATS_URL: secured.broker.url,
        MESH,
        STREAMS: 'bind',
        SIGNING: 'required',
        NATS_IDENTITIES_FILE: `${secured.folder}/identities/${role}`,
        OPENAI_BASE_URL: model.baseUrl,
        OPENAI_API_KEY: API_KEY,
        // Nobody answers there: a voter that is asked abstains.
        MODEL_ATTEMPTS: '1',
        LOG_LEVEL: 'debug',
        OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
        OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
        OTEL_BSP_SCHEDULE_DELAY: '20',
        ...env,
      },
    });
    agents.push(started);
    return started;
  }

  beforeAll(async () => {
    receiver = await receiveTraces();
    // Two reviewers run; the third identity is left to whoever attacks.
    secured = await startSecured({
      user: 'echo-1',
      publish: [`${MESH}.ballot.*.*`, `${MESH}.msg.>`],
    });
    model = await startModel();
    for (const role of ['echo', 'researcher', 'researcher', 'coder', 'reviewer', 'reviewer']) start(role);
    await Promise.all(agents.map((agent) => agent.logged('agent.ready')));
  });
  afterAll(async () => {
    await Promise.all(agents.map((agent) => agent.signal('SIGTERM')));
    agents = [];
    await model.stop('SIGKILL');
    await secured.stop();
    await receiver.close();
  });

  it('runs a goal that a submitter hands in, with a value that is too large for a message', async () => {
    const submitter = await secured.connectAs('submitter');
    const tasks = [
      { taskId: 'big', capability: 'echo', description: '', dependencies: [], input: { bytes: 700_000 } },
      { taskId: 'digest', capability: 'echo', description: '', dependencies: ['big'], input: { digest: true } },
      ...['a', 'b'].map((taskId) => ({ taskId, capability: 'echo', description: '', dependencies: [], input: {} })),
    ];
    await jetstream(submitter.nc, { timeout: 5_000 }).publish(
      subjects.goalsSubmit,
      JSON.stringify({ goalId: 'g', description: 'least privilege', tasks }),
    );
    const goal = await completed(submitter.nc, 'g');
    expect(goal).toMatchObject({ tasks: { total: 4, completed: 4 }, result: { digest: { count: 1 } } });
    expect(submitter.denied).toEqual([]);
    await submitter.nc.close();
  });

  it('runs goals that nobody plans: auctions, work handed over to its winner, and a vote', async () => {
    const submitter = await secured.connectAs('submitter');
    const ids = ['p1', 'p2', 'p3', 'p4'];
    const text = readFileSync('deploy/demo/input.txt', 'utf8');
    for (const goalId of ids) {
      const goal = { goalId, description: 'Brief this text', pattern: 'peer-to-peer', input: { text } };
      await jetstream(submitter.nc, { timeout: 5_000 }).publish(subjects.goalsSubmit, JSON.stringify(goal));
    }
    const goals = await Promise.all(ids.map((goalId) => completed(submitter.nc, goalId)));
    expect(goals).toMatchObject(ids.map((goalId) => ({ goalId, tasks: { total: 4, completed: 4 } })));
    const admin = await secured.connectAs('admin');
    const said = (await jetstreamManager(admin.nc)).streams;
    const { state } = await said.info(subjects.logStream, { subjects_filter: '>' });
    const spoken = Object.keys(state.subjects ?? {});
    for (const pattern of [/\.msg\..*\.announce$/, /\.inbox\..*\.reply\./, /\.vote\.review$/, /\.ballot\./])
      expect(spoken.filter((subject) => pattern.test(subject))).not.toEqual([]);
    const work = await Promise.all(ids.map((goalId) => said.getMessage(subjects.dagStream, workOf(goalId))));
    for (const record of work) expect(record?.json()).toMatchObject({ step: { kind: 'answer', approval: 'vote' } });
    await Promise.all([submitter.nc.close(), admin.nc.close()]);
  });

  it('shows every agent to the operator, each under an identity of its own', async () => {
    const { code, stdout, stderr } = await secured.cli('operator', 'agents', '--json');
    expect([code, stderr]).toEqual([0, '']);
    for (const id of ['coder-1', 'reviewer-']) expect(stdout).toContain(id);
    expect(new Set(stdout.match(/reviewer-[123]/g)).size).toBe(2);
  });

  it('counts only ballots that their voter signed, for this round', async () => {
    const registry = natsRegistry((await secured.connectAs('coder-1')).nc, subjects);
    const voters = (await registry.list()).filter(({ role }) => role === 'reviewer').map(({ agentId }) => agentId);
    const proposer = await secured.connectAs('coder-1');
    const attacker = await secured.connectAs('echo-1');
    const faults: SignatureFault[] = [];
    const key = signingKey(secured.seed('coder-1'));
    const bus = signedBus({
      bus: natsBus(proposer.nc),
      registry,
      clock: systemClock,
      subjects,
      key,
      refused: (fault) => faults.push(fault),
    });
    const [victim = '', other = ''] = voters;
    const roundId = 'round-signed';
    // Heard before the voters' own: an unsigned one, one by a stranger's key, one signed for another round, one altered after it was signed.
    const forge = (position: string, sign: (subject: string, data: Uint8Array) => string | undefined): void => {
      const data = Buffer.from(
        JSON.stringify({ roundId, agent: victim, position, timestamp: new Date().toISOString() }),
      );
      const subject = subjects.ballot(roundId, victim);
      publishSigned(attacker.nc, subject, data, sign(subject, data));
    };
    const victimKey = signingKey(secured.seed(victim));
    const attack = (): void => {
      forge('forged', () => undefined);
      forge('forged', (subject, data) => signatureOf(signingKey(newUserKey().seed), subject, Date.now(), data));
      forge('forged', (_, data) => signatureOf(victimKey, subjects.ballot('round-before', victim), Date.now(), data));
      forge('forged', (subject) => signatureOf(victimKey, subject, Date.now(), Buffer.from('{}')));
    };
    const decided = await holdRound(
      {
        bus,
        store: natsDagStore(proposer.nc, subjects),
        clock: systemClock,
        subjects,
        agentId: 'coder-1',
        observer: {
          // The proposer listens from here on, and no voter can have answered yet.
          asked: ({ again }) => void (again || proposer.nc.flush().then(attack)),
          counted: () => undefined,
          rejected: () => undefined,
          decided: () => undefined,
          ended: () => undefined,
        },
      },
      {
        roundId,
        capability: 'review',
        proposal: 'which?',
        options: ['approve', 'reject', 'forged'],
        rule: { method: 'majority', quorum: 2 },
        roster: [victim, other],
        deadlineMs: 15_000,
        correlationId: 'c',
        signal: new AbortController().signal,
      },
    );
    expect(decided.ballots.map(({ agent }) => agent).toSorted()).toEqual([victim, other].toSorted());
    // What the voters themselves say, without a text to check against, is never what was forged.
    for (const ballot of decided.ballots) expect(ballot.position).not.toBe('forged');
    expect(faults.toSorted()).toEqual(['bad_signature', 'bad_signature', 'bad_signature', 'unsigned']);
    await Promise.all([proposer.nc.close(), attacker.nc.close()]);
  });

  it('traces a goal with a vote, from the context that came with it to the signed ballots', async () => {
    const submitter = await secured.connectAs('submitter');
    const traceId = 'c0ffee'.padEnd(32, '0');
    const h = headers();
    h.set('traceparent', `00-${traceId}-dead00beef00dead-01`);
    const vote = { capability: 'review', rule: { method: 'majority' }, onReject: 'fail' };
    const tasks = [
      { taskId: 'a', capability: 'echo', description: '', dependencies: [], input: {}, vote, maxAttempts: 1 },
    ];
    const goal = { goalId: 'traced', description: 'x', tasks };
    await jetstream(submitter.nc).publish(subjects.goalsSubmit, JSON.stringify(goal), { headers: h });
    const named = (spans: readonly Span[], prefix: string) => spans.filter(({ name }) => name.startsWith(prefix));
    const spans = await waitUntil('the trace is whole', () => {
      const found = receiver.spans().filter((span) => span.traceId === traceId);
      const voted = named(found, `process ${MESH}.vote.review`).length === 2;
      return voted && named(found, 'invoke_workflow').length === 1 ? found : undefined;
    });
    // Below the span of whoever submitted it, and nothing beside it.
    expect(traceOf(spans).orphans.map(({ span }) => span.name)).toEqual(['invoke_workflow orchestrator']);
    const [round] = named(spans, 'vote review');
    expect(named(spans, `process ${MESH}.vote.review`).map(({ parentId }) => parentId)).toEqual([
      round?.spanId,
      round?.spanId,
    ]);
    const admin = await secured.connectAs('admin');
    const manager = await jetstreamManager(admin.nc);
    const ballot = await manager.streams.getMessage(subjects.logStream, {
      last_by_subj: `${MESH}.ballot.${String(round?.attributes['conclave.round.id'])}.*`,
    });
    expect(ballot?.header.get(SIGNATURE_HEADER)).not.toBe('');
    expect(spans.map(({ spanId }) => `00-${traceId}-${spanId}-01`)).toContain(ballot?.header.get('traceparent'));
    await Promise.all([submitter.nc.close(), admin.nc.close()]);
  });

  it('is denied nothing by its broker', () => {
    for (const agent of agents) expect(agent.records().filter(({ event }) => event === 'broker.error')).toEqual([]);
  });

  it('shows its secrets nowhere: not in logs, metrics or streams', async () => {
    const secrets = [API_KEY, ...['echo-1', 'echo-2', 'coder-1', 'reviewer-1'].map((user) => secured.seed(user))];
    const admin = await secured.connectAs('admin');
    const said = [
      ...agents.map((agent) =>
        agent
          .records()
          .map((record) => JSON.stringify(record))
          .join('\n'),
      ),
      ...(await Promise.all(agents.map((agent) => agent.metrics()))),
      await everythingStored(admin.nc),
    ];
    expect(said.every((text) => text.length > 100)).toBe(true);
    for (const secret of secrets) for (const text of said) expect(text.includes(secret)).toBe(false);
    // The control: what is there is found.
    expect(said.some((text) => text.includes('least privilege'))).toBe(true);
    await admin.nc.close();
  });
});

function workOf(goalId: string): { last_by_subj: string } {
  return { last_by_subj: subjects.dagSubject(subjects.taskKey(goalId, 'w2')) };
}

/** The goal's record once it has completed, read as whoever handed it in may read it. */
function completed(nc: NatsConnection, goalId: string): Promise<unknown> {
  return waitUntil(`goal ${goalId} has completed`, async () => {
    const query = JSON.stringify({ last_by_subj: subjects.dagSubject(subjects.goalKey(goalId)) });
    const answer = await nc.request(`$JS.API.STREAM.MSG.GET.${subjects.dagStream}`, query);
    const { message } = answer.json<{ message?: { data: string } }>();
    const record: unknown = message === undefined ? {} : JSON.parse(Buffer.from(message.data, 'base64').toString());
    return JSON.stringify(record).includes('"status":"completed"') ? record : undefined;
  });
}

function publishSigned(nc: NatsConnection, subject: string, data: Uint8Array, signature: string | undefined): void {
  const h = headers();
  if (signature !== undefined) h.set(SIGNATURE_HEADER, signature);
  nc.publish(subject, data, { headers: h });
}

async function everythingStored(nc: NatsConnection): Promise<string> {
  const manager = await jetstreamManager(nc);
  const texts: string[] = [];
  for await (const { config, state } of manager.streams.list()) {
    for (let seq = state.first_seq; seq <= state.last_seq; seq += 1) {
      const message = await manager.streams.getMessage(config.name, { seq }).catch(() => null);
      if (message !== null) texts.push(message.string());
    }
  }
  return texts.join('\n');
}
