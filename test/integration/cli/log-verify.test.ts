/** `conclave log --verify` on real goals of a real mesh: a complete log passes, and whatever is removed from it by hand is named (I9). */
import { jetstreamManager, type StoredMsg } from '@nats-io/jetstream';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { z } from 'zod';
import { runCommandLine } from '../../../services/cli/program.ts';
import { openMesh as openClient } from '../../../shared/adapters/mesh-client.ts';
import { fakeTerminal } from '../../unit/cli/fake-terminal.ts';
import { waitUntil } from '../../support/wait.ts';
import { type Mesh, openMesh } from '../mesh.ts';

let mesh: Mesh;

const Line = z.looseObject({
  code: z.string().optional(),
  revision: z.number().optional(),
  key: z.string().optional(),
});

/** The command line of a log. */
const logArgs = (...args: readonly string[]): string[] => ['--url', mesh.url, '--mesh', mesh.name, 'log', ...args];

async function verify(...args: string[]): Promise<{ code: number; findings: z.infer<typeof Line>[]; text: string }> {
  const terminal = fakeTerminal({ now: Date.now });
  const code = await runCommandLine(logArgs(...args, '--verify', '--json'), terminal);
  const lines = terminal.stdout.map((line) => Line.parse(JSON.parse(line)));
  return {
    code,
    findings: lines.filter((line) => line.code !== undefined),
    text: terminal.stdout.join('\n') + terminal.stderr.join('\n'),
  };
}

const echo = (taskId: string, more: object = {}) => ({ taskId, capability: 'echo', ...more });
const GOALS = ['done', 'voted', 'broken', 'refused', 'short'];

beforeAll(async () => {
  const url = inject('natsUrl');
  mesh = await openMesh('verify', url);
  // The log as agents make it forbids what this test does to it, for good; one that is there already they take as it is.
  const { name } = mesh;
  const jsm = await jetstreamManager(mesh.foreign.nc);
  await jsm.streams.add({
    name: `KV_${name}_dag`,
    subjects: [`$KV.${name}_dag.>`, `${name}.ready.>`],
    max_msgs_per_subject: 64,
    allow_direct: false,
    allow_atomic: true,
    allow_msg_ttl: true,
    allow_msg_schedules: true,
    allow_rollup_hdrs: true,
  });
  await jsm.streams.add({
    name: `${name}_log`,
    subjects: [`${name}.msg.>`, `${name}.vote.>`, `${name}.ballot.>`],
    sources: [{ name: `KV_${name}_dag`, filter_subject: `$KV.${name}_dag.>` }],
    no_ack: true,
  });
  await Promise.all([mesh.agent('echo1'), mesh.agent('echo2')]);
  const { foreign } = mesh;
  const vote = { capability: 'echo', rule: { method: 'majority', quorum: 1 }, onReject: 'fail' };
  await foreign.submit({
    goalId: 'done',
    description: 'x',
    tasks: [echo('a', { input: { delayMs: 60 } }), echo('b', { dependencies: ['a'] })],
  });
  // Echo abstains: the round is undecided, which fails the attempts.
  await foreign.submit({ goalId: 'voted', description: 'x', tasks: [echo('a', { vote, maxAttempts: 1 })] });
  await foreign.submit({
    goalId: 'broken',
    description: 'x',
    tasks: [echo('a', { input: { failTimes: 9 }, maxAttempts: 2 }), echo('b', { dependencies: ['a'] })],
  });
  await foreign.submit({ goalId: 'refused', description: 'x', tasks: [echo('a', { dependencies: ['b'] })] });
  await foreign.shorthand('echo', { goalId: 'short', description: 'x' });
  for (const goalId of GOALS) await foreign.ended(goalId);
});
afterAll(() => mesh.close());

/** Every message of the log. */
async function logged(): Promise<StoredMsg[]> {
  const jsm = await mesh.foreign.manager();
  const { state } = await jsm.streams.info(`${mesh.name}_log`);
  const found: StoredMsg[] = [];
  for (let seq = 1; seq <= state.last_seq; seq += 1) {
    const message = await jsm.streams.getMessage(`${mesh.name}_log`, { seq }).catch(() => null);
    if (message !== null) found.push(message);
  }
  return found;
}

const revisionOf = (message: StoredMsg) => Number(message.header.get('Nats-Stream-Source').split(' ')[1]);
const subject = (key: string) => `$KV.${mesh.name}_dag.${key}`;

describe('the verifier', () => {
  test('finds nothing missing from the whole log, nor from that of any goal', async () => {
    const whole = await verify();
    expect(whole.text).toContain('"findings":0');
    expect(whole.code).toBe(0);
    for (const goalId of GOALS) {
      const one = await verify(goalId);
      expect([goalId, one.code, one.findings]).toEqual([goalId, 0, []]);
    }
    expect((await verify('nobody')).text).toContain('knows no goal');
  });

  test('every revision of the log says what it replaced, so that the log needs no other witness', async () => {
    const before = new Map<string, number>();
    for (const message of await logged()) {
      if (!message.subject.startsWith('$KV.')) continue;
      expect(message.header.get('Conclave-Replaces'), message.subject).toBe(String(before.get(message.subject) ?? 0));
      before.set(message.subject, revisionOf(message));
    }
    expect(before.size).toBeGreaterThan(8);
  });
});

describe('what is removed by hand', () => {
  async function remove(message: StoredMsg | undefined): Promise<StoredMsg> {
    if (message === undefined) throw new Error('nothing to remove');
    const jsm = await mesh.foreign.manager();
    await jsm.streams.deleteMessage(`${mesh.name}_log`, message.seq);
    return message;
  }

  test('a revision is named, by its key and number, by the log itself and against the DAG stream; and as a hole in the log', async () => {
    const messages = (await logged()).filter((message) => message.subject === subject('task.done.a'));
    const gone = await remove(messages.at(1));
    const { code, findings } = await verify('done');
    expect(code).toBe(1);
    expect(findings).toEqual([
      expect.objectContaining({ code: 'missing_revision', key: 'task.done.a', revision: revisionOf(gone) }),
      expect.objectContaining({
        code: 'removed',
        message: expect.stringContaining(`sequence ${gone.seq} was removed`),
      }),
    ]);
    const named = ({ findings: all }: { readonly findings: readonly z.infer<typeof Line>[] }) =>
      all.map(({ code: what, key, revision }) => ({ what, key, revision }));
    const whole = await verify();
    expect(named(whole)).toEqual(named({ findings }));
    expect(whole.text).toContain(`revision ${revisionOf(gone)} (in_progress, attempt 1, echo`);
    const said = fakeTerminal({ now: Date.now });
    expect(await runCommandLine(logArgs('done', '--verify'), said)).toBe(1);
    expect(said.stdout).toEqual([
      expect.stringMatching(/^missing_revision {2}/),
      expect.stringMatching(/^removed {2}/),
      expect.stringMatching(/: 2 findings$/),
    ]);
    // Others are not accused.
    expect((await verify('broken')).findings.filter((finding) => finding.code !== 'removed')).toEqual([]);
  });

  test('the last record of a goal, which has no successor, is named by the DAG stream', async () => {
    const messages = (await logged()).filter((message) => message.subject === subject('goal.short'));
    const gone = await remove(messages.at(-1));
    const found = (await verify('short')).findings;
    expect(found).toContainEqual(
      expect.objectContaining({ code: 'missing_revision', key: 'goal.short', revision: revisionOf(gone) }),
    );
  });

  test('a ballot that was counted, and the request of its round, are named by the decision', async () => {
    const ballot = await remove((await logged()).find((message) => message.subject.startsWith(`${mesh.name}.ballot.`)));
    const request = await remove((await logged()).find((message) => message.subject.startsWith(`${mesh.name}.vote.`)));
    const { findings } = await verify('voted');
    expect(findings.map(({ code }) => code)).toEqual(
      expect.arrayContaining(['missing_request', 'missing_ballot', 'removed']),
    );
    expect(JSON.stringify(findings)).toContain(ballot.subject.split('.').at(-1));
    expect(request.seq).toBeLessThan(ballot.seq);
  });

  test('a message to which nothing refers leaves a hole in the sequence of the log', async () => {
    const { nc } = mesh.foreign;
    const body = {
      id: '1',
      sender: 'a',
      receiver: 'b',
      messageType: 'x',
      content: 1,
      timestamp: new Date().toISOString(),
      correlationId: 'c',
      hops: 0,
    };
    nc.publish(`${mesh.name}.msg.a.b.x`, JSON.stringify(body));
    const message = await waitUntil('it is logged', async () =>
      (await logged()).find((each) => each.subject === `${mesh.name}.msg.a.b.x`),
    );
    expect(
      (await verify()).findings.some((finding) => JSON.stringify(finding).includes(`sequence ${message.seq} `)),
    ).toBe(false);
    await remove(message);
    expect((await verify()).findings).toContainEqual(
      expect.objectContaining({ code: 'removed', message: expect.stringContaining(String(message.seq)) }),
    );
  });

  test('a log that is no copy of the DAG stream is told apart from one that is', async () => {
    const name = `${mesh.name}-forged`;
    const jsm = await mesh.foreign.manager();
    const { js } = mesh.foreign;
    await jsm.streams.add({ name: `KV_${name}_dag`, subjects: [`$KV.${name}_dag.>`] });
    await jsm.streams.add({ name: `${name}_shadow`, subjects: [`${name}.shadow.>`] });
    const subject_transforms = [{ src: `${name}.shadow.>`, dest: `$KV.${name}_dag.>` }];
    await jsm.streams.add({ name: `${name}_log`, sources: [{ name: `${name}_shadow`, subject_transforms }] });
    const write = async (key: string, dag: string, log: string) => {
      await js.publish(`$KV.${name}_dag.${key}`, dag);
      await js.publish(`${name}.shadow.${key}`, log);
    };
    await write('ledger.g', '{"spent":1}', '{"spent":1}');
    await write('ledger.g', '{"spent":2}', '{"spent":3}');
    await js.publish(`$KV.${name}_dag.ledger.h`, '{"spent":4}');
    await waitUntil('the shadow is copied', async () => (await jsm.streams.info(`${name}_log`)).state.messages === 2);
    const client = await openClient({ url: mesh.url, mesh: name });
    const found: string[] = [];
    const verified = await client.verifyLog({
      patienceMs: 0,
      onFinding: ({ code, message }) => found.push(`${code} ${message}`),
    });
    await client.close();
    expect(verified).toEqual({ goals: 0, keys: 1, revisions: 2, messages: 0, compared: 2, findings: 2 });
    expect(found).toEqual([
      expect.stringMatching(/^altered ledger\.g: revision 2 reads otherwise in the log/),
      expect.stringMatching(/^missing_records log: it ends with revision 2 and lacks 1 later ones/),
    ]);
    for (const stream of [`${name}_log`, `${name}_shadow`, `KV_${name}_dag`]) await jsm.streams.delete(stream);
  });
});
