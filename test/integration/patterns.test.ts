/** Goals through the patterns by the command line, with the demo's agents and the offline model; and what becomes of tasks that fail for good. */
import { describe, expect, inject, test, type TestContext } from 'vitest';
import { connectForeign, jsonOf } from '../support/foreign.ts';
import { type ForeignGoal, ForeignRevision } from '../support/foreign-records.ts';
import type { AgentProcess } from '../support/processes.ts';
import { waitUntil } from '../support/wait.ts';
import { STORM } from '../unit/model/sample.ts';
import { startCli } from './cli/process.ts';
import { type Mesh, openMesh } from './mesh.ts';
import { startModel } from './model/model-process.ts';
import { expectSound } from './verdict.ts';

type Hooks = Pick<TestContext, 'onTestFailed' | 'onTestFinished'>;

const BREAKER = 'test/support/agents/breaker';
const INPUT = JSON.stringify({ text: STORM });

class Crew {
  readonly mesh: Mesh;
  readonly #env: Readonly<Record<string, string>>;

  private constructor(mesh: Mesh, baseUrl: string) {
    this.mesh = mesh;
    this.#env = { OPENAI_BASE_URL: baseUrl };
  }

  /** A model, and agents: `role` for one, `role*n` for several. */
  static async open(
    label: string,
    hooks: Hooks,
    roles: readonly string[],
    model: Readonly<Record<string, string>> = {},
  ): Promise<Crew> {
    const endpoint = await startModel(model);
    hooks.onTestFinished(async () => void (await endpoint.stop('SIGKILL')));
    const mesh = await openMesh(label, inject('natsUrl'));
    hooks.onTestFinished(() => mesh.close());
    hooks.onTestFailed(() => void process.stderr.write(`${mesh.tails()}\n`));
    const crew = new Crew(mesh, endpoint.baseUrl);
    const several = roles.flatMap((role) => {
      const [name = '', count = '1'] = role.split('*');
      return Array.from({ length: Number(count) }, (_, index) => crew.agent(`${name}${index + 1}`, name));
    });
    await Promise.all(several);
    return crew;
  }

  agent(id: string, role: string): Promise<AgentProcess> {
    return this.mesh.agent(id, { folder: `services/${role}`, env: this.#env });
  }

  /** Fails for good at these capabilities, or only at tasks whose description fits. */
  breaker(capabilities: string, failsAt = ''): Promise<AgentProcess> {
    return this.mesh.agent('breaker', { folder: BREAKER, env: { CAPABILITIES: capabilities, FAILS_AT: failsAt } });
  }

  async conclave(args: readonly string[], stdin = ''): Promise<string> {
    const running = startCli(args, { env: { NATS_URL: this.mesh.url, MESH: this.mesh.name }, stdin });
    const code = await running.end();
    if (code !== 0) throw new Error(`conclave ${args.join(' ')} ended with ${code}: ${running.stderr()}`);
    return running.stdout();
  }

  /** Hands a goal in by the command line; resolves once it is terminal. */
  async run(goalId: string, description: string, ...more: readonly string[]): Promise<ForeignGoal> {
    await this.conclave(['submit', description, '--input', '-', '--goal-id', goalId, ...more], INPUT);
    return this.mesh.foreign.ended(goalId, 60_000);
  }

  async revisions(goalId: string): Promise<readonly ForeignRevision[]> {
    return (await this.mesh.foreign.revisions(`plan.${goalId}.*`)).map(({ record }) => ForeignRevision.parse(record));
  }

  /** Capability and dependencies of each task but the first plan, by taskId. */
  async graph(goalId: string): Promise<Record<string, readonly string[]>> {
    const tasks = [...(await this.mesh.foreign.tasks(goalId)).values()].filter(({ taskId }) => taskId !== 'plan');
    return Object.fromEntries(
      tasks.map(({ taskId, capability, dependencies }) => [taskId, [capability, ...dependencies]]),
    );
  }
}

const CHAIN = { t1: ['research'], t2: ['code', 't1'], t3: ['review', 't2'] };

describe('one input', () => {
  test('goes through a chain, through parts and a join, through a graph by capability, and from hand to hand', async (hooks) => {
    const crew = await Crew.open('patterns', hooks, ['planner', 'researcher', 'coder', 'reviewer*3']);
    const parts = { t1: ['research'], t2: ['research'], t3: ['research'], t4: ['code', 't1', 't2', 't3'] };
    const hands = { a1: ['auction'], w1: ['research', 'a1'], a2: ['auction', 'w1'], w2: ['code', 'a2', 'w1'] };
    const expected = { sequential: CHAIN, parallel: parts, orchestrator: CHAIN, 'peer-to-peer': hands };
    for (const [pattern, graph] of Object.entries(expected)) {
      const goal = await crew.run(pattern, 'Brief the storm', '--pattern', pattern);
      expect(goal).toMatchObject({ status: 'completed', pattern });
      expect(await crew.graph(pattern)).toEqual(graph);
      expect(JSON.stringify(goal.result)).toContain('statements');
    }
    // The join was given what every part found, and the parts looked for different things.
    const found = await Promise.all(['t1', 't2', 't3'].map((taskId) => crew.mesh.foreign.task('parallel', taskId)));
    expect(new Set(found.map((task) => JSON.stringify(task?.result))).size).toBeGreaterThan(1);
    await expectSound(crew.mesh, Object.keys(expected));
  });

  test('in parts: the join does without one that fails, and names it; without any part there is no result', async (hooks) => {
    const crew = await Crew.open('parts', hooks, ['planner', 'coder', 'reviewer*3']);
    await crew.breaker('research', '^The figures|hopeless');
    const parallel = ['--pattern', 'parallel', '--on-task-failure', 'continue'];
    const goal = await crew.run('g', 'Brief the storm', ...parallel);
    expect(goal).toMatchObject({
      status: 'failed',
      error: { code: 'task_failed', message: expect.stringContaining('task t2 failed (broken)') },
      tasks: { total: 6, completed: 4, failed: 1, cancelled: 1 },
      result: {
        statements: expect.any(Array),
        failedParts: [{ taskId: 't2', error: { code: 'broken', message: expect.stringContaining('The figures') } }],
      },
    });
    expect(await crew.graph('g')).toMatchObject({ 'r1-t4': ['code', 't1', 't3'] });
    expect(await crew.conclave(['show', 'g'])).toMatch(
      /^revision 1 {2}done without, because task t2 failed .* instead of t4$/m,
    );

    const nothing = await crew.run('nothing', 'Brief the hopeless storm', ...parallel);
    expect(nothing).toMatchObject({ status: 'failed', tasks: { total: 5, completed: 1, failed: 3, cancelled: 1 } });
    expect(nothing.result).toBeUndefined();
    await expectSound(crew.mesh, ['g', 'nothing']);
  });
});

describe('a join', () => {
  test('names what it did without whatever its handler returns, also text, and what waits for it gets that', async (hooks) => {
    const crew = await Crew.open('joins', hooks, ['echo*2']);
    await crew.breaker('research');
    const { foreign } = crew.mesh;
    const join = (taskId: string, input?: object) => {
      return { taskId, capability: 'echo', description: taskId, input, dependencies: ['good', 'bad'], tolerant: true };
    };
    const tasks = [
      { taskId: 'good', capability: 'echo', description: 'good' },
      { taskId: 'bad', capability: 'research', description: 'bad' },
      join('object'),
      join('text', { bytes: 3 }),
      { taskId: 'after', capability: 'echo', description: 'after', dependencies: ['text'] },
    ];
    await foreign.submit({ goalId: 'g', description: 'd', tasks, onTaskFailure: 'continue' });
    const failedParts = [
      { taskId: 'bad', description: 'bad', error: { code: 'broken', message: 'nothing helps with: bad' } },
    ];
    const good = { input: null, dependencies: {} };
    expect(await foreign.ended('g')).toMatchObject({
      status: 'failed',
      result: {
        'r1-object': { input: null, dependencies: { good }, failedParts },
        'r1-after': { input: null, dependencies: { 'r1-text': { result: 'xxx', failedParts } } },
      },
    });
    await expectSound(crew.mesh, ['g']);
  });
});

describe('a task that fails for good', () => {
  test('is replaced by another plan, and the goal completes', async (hooks) => {
    const crew = await Crew.open('replan', hooks, ['planner', 'coder', 'reviewer*3']);
    const breaker = await crew.breaker('research');
    const goal = await crew.run('g', 'Brief the storm');
    expect(goal).toMatchObject({ status: 'completed', tasks: { total: 7, completed: 4, failed: 1, cancelled: 2 } });
    expect(JSON.stringify(goal.result)).toContain('statements');
    expect(await crew.graph('g')).toEqual({
      ...CHAIN,
      'replan-1': ['plan'],
      'replan-1-t1': ['code'],
      'replan-1-t2': ['review', 'replan-1-t1'],
    });
    expect(await crew.revisions('g')).toMatchObject([
      { cause: 't1', replaces: ['t1', 't2', 't3'], tasks: [{ taskId: 'replan-1' }] },
      { cause: 'replan-1', replaces: [] },
    ]);
    const page = await crew.conclave(['show', 'g']);
    expect(page).toMatch(/^planned anew +1 of 2 times$/m);
    expect(page).toMatch(
      /^revision 1 {2}to be planned anew, because task t1 failed \(broken: .*\): replan-1 instead of t1, t2, t3$/m,
    );
    expect(breaker.records()).toContainEqual(
      expect.objectContaining({
        event: 'goal.revised',
        goalId: 'g',
        kind: 'replan',
        replan: 1,
        replansMax: 2,
        cause: 't1',
      }),
    );
    expect(await breaker.metrics()).toMatch(/^conclave_goal_repairs_total\{kind="replan"\} 1$/m);

    // A graph that the user gave is planned anew only when that was asked for.
    const { foreign } = crew.mesh;
    const tasks = [
      { taskId: 'find', capability: 'research', description: 'Find', input: { text: STORM } },
      { taskId: 'write', capability: 'code', description: 'Write', dependencies: ['find'] },
    ];
    const given = { description: 'Brief the storm', input: { text: STORM }, tasks };
    await foreign.submit({ ...given, goalId: 'plain' });
    expect(await foreign.ended('plain')).toMatchObject({
      status: 'failed',
      tasks: { total: 2, failed: 1, cancelled: 1 },
    });
    await foreign.submit({ ...given, goalId: 'asked', replans: 1 });
    const asked = await foreign.ended('asked');
    expect(asked.status).toBe('completed');
    expect(JSON.stringify(asked.result)).toContain('statements');
    expect(await crew.graph('asked')).toMatchObject({ 'replan-1': ['plan'], 'replan-1-t1': ['code'] });
    await expectSound(crew.mesh, ['g', 'plain', 'asked']);
  });

  test('because its voters reject it is planned anew as well', async (hooks) => {
    const crew = await Crew.open('rejected', hooks, ['planner', 'coder', 'echo']);
    const { foreign, name } = crew.mesh;
    foreign.nc.subscribe(`${name}.vote.judge`, {
      callback: (_error, message) => {
        const { roundId } = jsonOf(message.data) as { roundId: string };
        const ballot = { roundId, agent: 'judge1', position: 'reject', timestamp: new Date().toISOString() };
        if (message.reply !== undefined) foreign.nc.publish(`${message.reply}.judge1`, JSON.stringify(ballot));
      },
    });
    const judge = await connectForeign(crew.mesh.url, name, 'judge1');
    hooks.onTestFinished(() => judge.close());
    await judge.announce(['judge']);
    const vote = { capability: 'judge', rule: { method: 'majority' }, onReject: 'fail' };
    const tasks = [
      { taskId: 'find', capability: 'echo', description: 'Find' },
      { taskId: 'write', capability: 'echo', description: 'Write', dependencies: ['find'], vote },
      { taskId: 'send', capability: 'echo', description: 'Send', dependencies: ['write'] },
    ];
    await foreign.submit({ goalId: 'g', description: 'Brief the storm', input: { text: STORM }, tasks, replans: 1 });
    expect(await foreign.ended('g')).toMatchObject({
      status: 'completed',
      tasks: { total: 5, completed: 3, failed: 1, cancelled: 1 },
      result: { statements: expect.any(Array) },
    });
    expect(await foreign.task('g', 'write')).toMatchObject({
      status: 'failed',
      error: { code: 'no_consensus', message: expect.stringContaining('approval') },
    });
    expect(await crew.graph('g')).toMatchObject({
      'replan-1': ['plan', 'find'],
      'replan-1-t1': ['code', 'find'],
    });
    await expectSound(crew.mesh, ['g']);
  });

  test('again and again ends the goal with the first reason, once the plans are used up', async (hooks) => {
    const crew = await Crew.open('bound', hooks, ['planner']);
    await crew.breaker('research,code,review');
    const goal = await crew.run('g', 'Brief the storm');
    expect(goal).toMatchObject({ status: 'failed', error: { code: 'task_failed' } });
    expect(goal.error?.message).toMatch(
      /^task t1 failed \(broken\): .*; planned anew 2 times, in the end: task replan-2-t1 failed/,
    );
    expect(await crew.revisions('g')).toHaveLength(4);
    expect(await crew.conclave(['show', 'g'])).toMatch(/^planned anew +2 of 2 times$/m);
    await expectSound(crew.mesh, ['g']);
  });

  test('is planned anew by another planner when the first one is killed in the middle of that', async (hooks) => {
    const crew = await Crew.open('killed', hooks, ['coder', 'reviewer'], { MODEL_LATENCY_MS: '1000' });
    const planners = new Map(
      await Promise.all(['planner1', 'planner2'].map(async (id) => [id, await crew.agent(id, 'planner')] as const)),
    );
    await crew.breaker('research');
    const { foreign } = crew.mesh;
    await foreign.submit({ goalId: 'g', description: 'Brief the storm', input: { text: STORM } });
    const held = await waitUntil(
      'a planner works on the new plan',
      async () => {
        const task = await foreign.task('g', 'replan-1');
        return task?.status === 'in_progress' && task;
      },
      30_000,
    );
    await planners.get(held.agentId ?? '')?.signal('SIGKILL');
    expect(await foreign.ended('g', 60_000)).toMatchObject({ status: 'completed' });
    const after = await foreign.task('g', 'replan-1');
    expect(after).toMatchObject({ status: 'completed', attempt: 2 });
    expect(after?.agentId).not.toBe(held.agentId);
    expect(await crew.revisions('g')).toHaveLength(2);
    await expectSound(crew.mesh, ['g']);
  });
});
