/** Goals that nobody plans: agents bid, work, hand on, split, ask each other and are killed, on a real broker; what is checked is what a stranger reads. */
import { readFileSync } from 'node:fs';
import { describe, expect, inject, test, type TestContext } from 'vitest';
import { jsonOf, readStream } from '../support/foreign.ts';
import { ForeignAward, ForeignMessage, ForeignRevision } from '../support/foreign-records.ts';
import { startModel } from './model/model-process.ts';
import { waitUntil } from '../support/wait.ts';
import { type Mesh, openMesh } from './mesh.ts';
import { expectSound } from './verdict.ts';

const folder = 'test/support/agents/peer';
const peer = (env: Record<string, string> = {}) => ({ folder, env });

async function meshOfTest(label: string, hooks: Pick<TestContext, 'onTestFailed' | 'onTestFinished'>): Promise<Mesh> {
  const mesh = await openMesh(label, inject('natsUrl'));
  hooks.onTestFinished(() => mesh.close());
  hooks.onTestFailed(() => void process.stderr.write(`${mesh.tails()}\n`));
  return mesh;
}

function goalOf(goalId: string, ...steps: object[]) {
  return { goalId, description: `goal ${goalId}`, pattern: 'peer-to-peer', input: { steps } };
}

async function awardOf(mesh: Mesh, goalId: string, taskId: string): Promise<ForeignAward> {
  return ForeignAward.parse((await mesh.foreign.task(goalId, taskId))?.result);
}

async function said(mesh: Mesh, subject: string): Promise<ForeignMessage[]> {
  const { foreign, name } = mesh;
  return (await readStream(foreign.nc, `${name}_log`, subject)).map(({ data }) => ForeignMessage.parse(jsonOf(data)));
}

describe.concurrent('a goal that nobody plans', { timeout: 120_000 }, () => {
  test('goes to the less busy of two agents that bid, and every word of it is in the log', async (hooks) => {
    const mesh = await meshOfTest('bids', hooks);
    const { foreign } = mesh;
    await mesh.agent('busy', peer());
    await foreign.submit({
      goalId: 'load',
      description: 'keeps one busy',
      tasks: [{ taskId: 't', capability: 'think', input: { steps: [{ delayMs: 60_000 }] } }],
    });
    await waitUntil('it is busy', async () => (await foreign.task('load', 't'))?.status === 'in_progress');
    await mesh.agent('idle', peer());
    await foreign.submit(goalOf('g', { step: 'answer' }));
    const goal = await foreign.ended('g');
    expect(goal).toMatchObject({ status: 'completed', result: { by: 'idle' }, tasks: { total: 2, completed: 2 } });

    const award = await awardOf(mesh, 'g', 'a1');
    expect(award).toMatchObject({ agentId: 'idle', capability: 'think', silent: [] });
    expect(award.asked.toSorted()).toEqual(['busy', 'idle']);
    expect(award.offers).toMatchObject([
      { agentId: 'idle', load: { running: 0 } },
      { agentId: 'busy', load: { running: 1 } },
    ]);
    expect((await foreign.revisions('plan.g.*')).map(({ record }) => ForeignRevision.parse(record))).toMatchObject([
      { revision: 1, cause: 'a1', tasks: [{ taskId: 'w1', capability: 'think', assignee: 'idle' }] },
    ]);
    const announced = await said(mesh, `${mesh.name}.msg.*.*.announce`);
    expect(announced.map(({ receiver }) => receiver).toSorted()).toEqual(['busy', 'idle']);
    const bids = await said(mesh, `${mesh.name}.inbox.*.reply.*.*`);
    expect(bids.filter(({ messageType }) => messageType === 'reply').length).toBeGreaterThanOrEqual(2);
    expect([...announced, ...bids].every(({ correlationId }) => correlationId === 'g')).toBe(true);
    // Two announcements and two bids.
    expect(goal.spent.messages).toBe(4);
    await foreign.cancel('load', 'it has kept one busy for long enough');
    await foreign.ended('load');
    await expectSound(mesh, ['load', 'g']);
  });

  test('is handed on, split, and put together by tasks of one graph', async (hooks) => {
    const mesh = await meshOfTest('graph', hooks);
    const { foreign } = mesh;
    await Promise.all([
      mesh.agent('thinker', peer()),
      mesh.agent('writer', peer({ CAPABILITIES: 'write', CONFIDENCE: '0.1' })),
    ]);
    const parts = [
      { capability: 'think', note: 'part one' },
      { capability: 'write', note: 'part two' },
    ];
    await foreign.submit(
      goalOf(
        'g',
        { step: 'split', parts, capability: 'write' },
        { step: 'hand_on', capability: 'think' },
        { step: 'answer' },
      ),
    );
    const goal = await foreign.ended('g');
    expect(goal).toMatchObject({ status: 'completed', result: { by: 'thinker', done: ['w1', 'p1-1', 'p1-2', 'w2'] } });
    const tasks = await foreign.tasks('g');
    expect([...tasks.keys()].toSorted()).toEqual(['a1', 'a2', 'a3', 'p1-1', 'p1-2', 'w1', 'w2', 'w3']);
    expect(tasks.get('p1-2')).toMatchObject({ capability: 'write', agentId: 'writer', dependencies: ['w1'] });
    expect(tasks.get('a2')?.dependencies).toEqual(['w1', 'p1-1', 'p1-2']);
    expect(tasks.get('w3')?.dependencies).toEqual(['a3', 'w1', 'p1-1', 'p1-2', 'w2']);
    expect(goal.tasks).toEqual({ total: 8, completed: 8, failed: 0, cancelled: 0 });
    await expectSound(mesh, ['g']);
  });

  test('goes on without parts that fail, names them to the end, and does so too when whoever goes on is killed', async (hooks) => {
    const mesh = await meshOfTest('parts', hooks);
    const { foreign } = mesh;
    const [, sure] = await Promise.all([
      mesh.agent('thinker', peer()),
      mesh.agent('sure', peer({ CAPABILITIES: 'write', CONFIDENCE: '0.9' })),
      mesh.agent('writer', peer({ CAPABILITIES: 'write,know', CONFIDENCE: '0.1' })),
    ]);
    const split = (...notes: string[]) => {
      return { step: 'split', parts: notes.map((note) => ({ capability: 'think', note })), capability: 'write' };
    };
    const goal = goalOf(
      'g',
      split('part one', 'broken part two', 'broken part three'),
      { step: 'hand_on', capability: 'think', delayMs: 1_500, ask: { capability: 'know', times: 1 } },
      split('broken part four'),
      { step: 'answer' },
    );
    await foreign.submit({ ...goal, onTaskFailure: 'continue' });
    await waitUntil('who goes on works', async () => (await foreign.task('g', 'w2'))?.status === 'in_progress', 20_000);
    expect(await foreign.task('g', 'w2')).toMatchObject({ agentId: 'sure' });
    await sure.signal('SIGKILL');
    const failedParts = ['p1-2', 'p1-3', 'p4-1'].map((taskId) => ({ taskId, error: { code: 'broken' } }));
    const byName = (one: { taskId: string }, other: { taskId: string }): number => (one.taskId < other.taskId ? -1 : 1);
    const ended = await foreign.ended('g', 60_000);
    expect(ended).toMatchObject({
      status: 'failed',
      error: { code: 'task_failed', message: expect.stringMatching(/^task p1-[23] failed \(broken\)/) },
      result: {
        by: 'writer',
        done: ['w1', 'p1-1', 'w3', 'w4'],
        failed: [
          expect.stringMatching(/^\w+ says: broken part (two|three)$/),
          expect.stringMatching(/^\w+ says: broken part (two|three)$/),
          expect.stringMatching(/^\w+ says: broken part four$/),
        ],
      },
    });
    const { failedParts: named } = ended.result as { failedParts: { taskId: string }[] };
    expect(named.toSorted(byName)).toMatchObject(failedParts);
    const bucket = await foreign.bucket();
    const record = async (taskId: string) => (await bucket.get(`task.g.${taskId}`))?.json();
    expect(await record('w3')).toMatchObject({ agentId: 'writer', failures: [{}, {}] });
    // Announced anew, it is still work for somebody who can write.
    expect(await record('a3')).toMatchObject({ peer: { capability: 'write', excluded: ['sure'] } });

    await foreign.submit({ ...goal, goalId: 'strict' });
    const strict = await foreign.ended('strict');
    expect(strict).toMatchObject({
      status: 'failed',
      error: { message: expect.stringMatching(/^task p1-[23] failed/) },
    });
    expect(strict.result).toBeUndefined();
    expect(strict.tasks.total).toBe(6);
    await expectSound(mesh, ['g', 'strict']);
  });

  test('is announced anew when its winner is killed, and its work is done elsewhere, once', async (hooks) => {
    const mesh = await meshOfTest('winner', hooks);
    const { foreign } = mesh;
    const [, sure] = await Promise.all([mesh.agent('other', peer()), mesh.agent('sure', peer({ CONFIDENCE: '0.9' }))]);
    await foreign.submit(goalOf('g', { step: 'answer', delayMs: 1_500 }));
    await waitUntil('the winner works', async () => (await foreign.task('g', 'w1'))?.status === 'in_progress');
    expect(await awardOf(mesh, 'g', 'a1')).toMatchObject({ agentId: 'sure' });
    const killedAt = performance.now();
    await sure.signal('SIGKILL');
    await waitUntil(
      'another agent works on it',
      async () => (await foreign.task('g', 'w2'))?.agentId === 'other',
      20_000,
    );
    const elsewhereMs = performance.now() - killedAt;
    process.stdout.write(`winner killed -> its work running elsewhere: ${Math.round(elsewhereMs)} ms\n`);
    expect(await foreign.ended('g')).toMatchObject({
      status: 'completed',
      result: { by: 'other' },
      tasks: { total: 4, completed: 3, failed: 0, cancelled: 1 },
    });
    expect(await foreign.task('g', 'w1')).toMatchObject({ status: 'cancelled', error: { code: 'assignee_gone' } });
    const again = await awardOf(mesh, 'g', 'a2');
    expect(again.asked).toEqual(['other']);
    await expectSound(mesh, ['g']);
  });

  test('that agents hand on without end is stopped with a reason that names its hops', async (hooks) => {
    const mesh = await meshOfTest('endless', hooks);
    const { foreign } = mesh;
    await Promise.all([mesh.agent('thinker', peer()), mesh.agent('writer', peer({ CAPABILITIES: 'write' }))]);
    const steps = Array.from({ length: 40 }, (_, index) => ({
      step: 'hand_on',
      capability: index % 2 === 0 ? 'write' : 'think',
      note: `go on, ${index}`,
    }));
    await foreign.submit(goalOf('g', ...steps));
    const goal = await foreign.ended('g', 60_000);
    expect(goal).toMatchObject({ status: 'failed', error: { code: 'too_many_hops' } });
    expect(goal.error?.message).toMatch(/16 hops.*think -> write -> think/);
    // 17 pieces of work and their auctions.
    expect(goal.tasks).toEqual({ total: 34, completed: 34, failed: 0, cancelled: 0 });
    await expectSound(mesh, ['g']);
  });

  test('that two agents hand to and fro with the same words is stopped long before, with a reason that names the loop', async (hooks) => {
    const mesh = await meshOfTest('circle', hooks);
    const { foreign } = mesh;
    await Promise.all([mesh.agent('thinker', peer()), mesh.agent('writer', peer({ CAPABILITIES: 'write' }))]);
    const to = (capability: string) => ({ step: 'hand_on', capability, note: 'Your turn' });
    await foreign.submit(
      goalOf('g', ...Array.from({ length: 40 }, (_, index) => to(index % 2 === 0 ? 'write' : 'think'))),
    );
    const goal = await foreign.ended('g', 60_000);
    expect(goal).toMatchObject({ status: 'failed', error: { code: 'delegation_cycle' } });
    const first = (await foreign.task('g', 'w1'))?.capability ?? '';
    const steps = [first, ...Array.from({ length: 40 }, (_, index) => (index % 2 === 0 ? 'write' : 'think'))];
    expect(goal.error?.message).toContain(`4 times: ${steps.slice(0, 4).join(' -> ')}`);
    expect(goal.tasks.total).toBeLessThanOrEqual(16);
    await expectSound(mesh, ['g']);
  });

  test('whose agent asks the same again and again is stopped, and says who asked whom', async (hooks) => {
    const mesh = await meshOfTest('parrot', hooks);
    const { foreign } = mesh;
    await Promise.all([
      mesh.agent('thinker', peer()),
      mesh.agent('expert', peer({ CAPABILITIES: 'know', CONFIDENCE: '0.1' })),
    ]);
    await foreign.submit({
      goalId: 'g',
      description: 'asks',
      tasks: [{ taskId: 't', capability: 'think', input: { steps: [{ ask: { capability: 'know', times: 40 } }] } }],
    });
    expect(await foreign.ended('g')).toMatchObject({
      status: 'failed',
      error: { message: expect.stringMatching(/repeated_content.*thinker -> know -> thinker/) },
    });
    expect(await said(mesh, `${mesh.name}.msg.thinker.expert.question`)).toHaveLength(10);
    await expectSound(mesh, ['g']);
  });

  test('withdraws its questions when it is cancelled', async (hooks) => {
    const mesh = await meshOfTest('withdrawn', hooks);
    const { foreign } = mesh;
    const [, expert] = await Promise.all([
      mesh.agent('thinker', peer()),
      mesh.agent('expert', peer({ CAPABILITIES: 'know', CONFIDENCE: '0.1' })),
    ]);
    const ask = { capability: 'know', times: 1, question: 'What will never be known?' };
    await foreign.submit({
      goalId: 'g',
      description: 'asks',
      tasks: [{ taskId: 't', capability: 'think', input: { steps: [{ ask }] } }],
    });
    await waitUntil(
      'the question is asked',
      async () => (await said(mesh, `${mesh.name}.msg.thinker.expert.question`)).length === 1,
    );
    await foreign.cancel('g', 'never mind');
    expect(await foreign.ended('g')).toMatchObject({ status: 'cancelled' });
    expect(await expert.logged('peer.question_withdrawn', 5_000)).toMatchObject({ goalId: 'g', questions: 1 });
    // It would have thought about it for longer than this test may take.
    const [answer] = await waitUntil('the expert has given up', async () => {
      const replies = await said(mesh, `${mesh.name}.inbox.thinker.reply.expert.*`);
      const last = replies.filter(({ messageType }) => messageType === 'reply');
      return last.length > 0 ? last : undefined;
    });
    expect(answer?.content).toEqual({ status: 'unanswered', reason: 'goal_ended: goal g is over' });
    await expectSound(mesh, ['g']);
  });

  test('goes on without an answer from a peer that is dead, whose breaker opens', async (hooks) => {
    const mesh = await meshOfTest('questions', hooks);
    const { foreign } = mesh;
    const [thinker, expert] = await Promise.all([
      mesh.agent('thinker', peer()),
      mesh.agent('expert', peer({ CAPABILITIES: 'know', CONFIDENCE: '0.1' })),
    ]);
    const ask = { capability: 'know', times: 1 };
    await foreign.submit(goalOf('alive', { step: 'answer', ask }));
    expect(await foreign.ended('alive')).toMatchObject({
      status: 'completed',
      result: { said: [{ ok: true, from: 'expert', answer: 'you asked: What do you think?' }] },
    });
    const asked = await said(mesh, `${mesh.name}.msg.thinker.expert.question`);
    expect(asked).toMatchObject([{ correlationId: 'alive', taskId: 'w1', hops: 0 }]);

    await expert.signal('SIGKILL');
    await foreign.submit(goalOf('dead', { step: 'answer', ask: { ...ask, times: 2 } }));
    const goal = await foreign.ended('dead');
    expect(goal).toMatchObject({ status: 'completed', result: { by: 'thinker' } });
    const { said: outcomes } = goal.result as { said: { ok: boolean; reason: string }[] };
    expect(outcomes.map(({ ok }) => ok)).toEqual([false, false]);
    expect(outcomes[1]?.reason).toMatch(/circuit breaker is open/);
    expect(await thinker.metrics()).toMatch(/conclave_breaker_state\{breaker="peer expert"[^}]*\} 2/);
    await expectSound(mesh, ['alive', 'dead']);
  });

  test('ends by a vote of the reviewers that are there, and says so when there are none', async (hooks) => {
    const mesh = await meshOfTest('votes', hooks);
    const { foreign } = mesh;
    await mesh.agent('thinker', peer());
    await foreign.submit(goalOf('alone', { step: 'answer' }));
    expect(await foreign.ended('alone')).toMatchObject({ status: 'completed' });
    const bucket = await foreign.bucket();
    expect((await bucket.get('task.alone.w1'))?.json()).toMatchObject({
      step: { kind: 'answer', approval: 'nobody_to_vote' },
    });
    await expectSound(mesh, ['alone']);
  });

  test('is a real brief, by researchers, a coder and reviewers, and no planner', async (hooks) => {
    const mesh = await meshOfTest('brief', hooks);
    const { foreign } = mesh;
    const model = await startModel();
    hooks.onTestFinished(async () => void (await model.stop('SIGKILL')));
    const env = { OPENAI_BASE_URL: model.baseUrl };
    const start = (id: string, service: string, more: Record<string, string> = {}) =>
      mesh.agent(id, { folder: `services/${service}`, env: { ...env, ...more } });
    await Promise.all([
      start('researcher-1', 'researcher'),
      start('researcher-2', 'researcher'),
      start('coder-1', 'coder'),
      ...['support', 'figures', 'economy'].map((criterion) =>
        start(`reviewer-${criterion}`, 'reviewer', { REVIEW_CRITERION: criterion }),
      ),
    ]);
    const text = readFileSync('deploy/demo/input.txt', 'utf8');
    await foreign.submit({ goalId: 'g', description: 'Brief this text', pattern: 'peer-to-peer', input: { text } });
    const goal = await foreign.ended('g', 60_000);
    expect(goal).toMatchObject({
      status: 'completed',
      result: { offline: true, title: expect.stringMatching(/^Brief: /) },
    });
    const tasks = await foreign.tasks('g');
    expect([...tasks.values()].map(({ taskId, capability }) => `${taskId} ${capability}`)).toEqual([
      'a1 auction',
      'w1 research',
      'a2 auction',
      'w2 code',
    ]);
    const rounds = (await foreign.revisions('round.*')).map(({ record }) => record);
    expect(rounds).toMatchObject([{ goalId: 'g', taskId: 'w2', consensus: true, position: 'approve' }]);
    await expectSound(mesh, ['g']);
  });
});
