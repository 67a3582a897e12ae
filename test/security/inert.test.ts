/**
 * Whatever a model or a task says: the graph of its goal, the subjects that are published to and what is spent are those of the same run without it. Each
 * attack has its control, on a mesh of its own with agents of the same names.
 */
import { describe, expect, inject, test, type TestContext } from 'vitest';
import { startModel } from '../integration/model/model-process.ts';
import { type Mesh, openMesh } from '../integration/mesh.ts';
import { expectSound } from '../integration/verdict.ts';
import { accountOf, listen } from '../support/account.ts';
import { hostile, startBetween } from '../support/hostile-model.ts';
import { STORM } from '../unit/model/sample.ts';

type Hooks = Pick<TestContext, 'onTestFailed' | 'onTestFinished'>;

const BUDGET = { usd: 0.5, tokens: 100_000, messages: 100 };
const input = { text: STORM };

async function open(hooks: Hooks, label: string, agents: Readonly<Record<string, string>>, env: object): Promise<Mesh> {
  const mesh = await openMesh(label, inject('natsUrl'));
  hooks.onTestFinished(() => mesh.close());
  hooks.onTestFailed(() => void process.stderr.write(`${mesh.tails()}\n`));
  await Promise.all(Object.entries(agents).map(([id, folder]) => mesh.agent(id, { folder, env: { ...env } })));
  return mesh;
}

/** Runs these goals one after the other; what they left behind. */
async function ran(mesh: Mesh, agents: object, goals: readonly { readonly goalId: string }[], results: boolean) {
  const { foreign } = mesh;
  const subjects = await listen(foreign, Object.keys(agents));
  const accounts = [];
  for (const goal of goals) {
    await foreign.submit(goal);
    await foreign.ended(goal.goalId, 60_000);
    accounts.push(await accountOf(foreign, goal.goalId, results));
  }
  await expectSound(
    mesh,
    goals.map(({ goalId }) => goalId),
  );
  return { accounts, subjects: subjects(), letters: await foreign.deadLetters() };
}

const after = {
  goalId: 'after',
  description: 'an honest goal that comes after it',
  tasks: [{ taskId: 'a', capability: 'echo', description: 'a', input: { said: 'x' } }],
};

describe('what a model says', () => {
  const services = (...roles: string[]) => Object.fromEntries(roles.map((role) => [`${role}1`, `services/${role}`]));
  const reviewed = { capability: 'review', voters: 1, rule: { method: 'majority', quorum: 1 }, onReject: 'rework' };
  const goals = [
    { goalId: 'g1', description: 'Brief the storm', input, budget: BUDGET },
    {
      goalId: 'g2',
      description: 'Brief the storm',
      input,
      budget: BUDGET,
      pattern: 'parallel',
      onTaskFailure: 'continue',
    },
    {
      goalId: 'g3',
      description: 'Write and vote',
      input,
      budget: BUDGET,
      tasks: [{ taskId: 'write', capability: 'code', description: 'Brief the storm', input, vote: reviewed }],
    },
    after,
  ];

  test('adds no task, raises no budget and reaches no subject, whatever keys and names it has', async (hooks) => {
    const model = await startModel();
    hooks.onTestFinished(async () => void (await model.stop('SIGKILL')));
    const run = async (label: string, change: (content: string) => string) => {
      const between = await startBetween(model.baseUrl, change);
      hooks.onTestFinished(() => between.close());
      const agents = services('planner', 'researcher', 'coder', 'reviewer', 'echo');
      const mesh = await open(hooks, label, agents, { OPENAI_BASE_URL: between.baseUrl });
      return { ...(await ran(mesh, agents, goals, true)), changed: between.changed() };
    };
    const control = await run('plain', (content) => content);
    const attack = await run('laden', hostile);
    expect(control.accounts.map(({ goal }) => goal)).toMatchObject(goals.map(() => ({ status: 'completed' })));
    expect(control.accounts.map(({ tasks }) => Object.keys(tasks))).toEqual([
      ['plan', 't1', 't2', 't3'],
      ['plan', 't1', 't2', 't3', 't4'],
      ['write'],
      ['a'],
    ]);
    expect(attack).toEqual(control);
    // Every answer of the model was one of the attack: plan, facts, brief, report and ballot.
    expect(attack.changed).toBeGreaterThanOrEqual(10);
    expect(attack.letters).toEqual([]);
  });
});

describe('what a task or a plan of an agent that was taken over says', () => {
  test('adds no task, raises no budget and reaches no subject, whatever stands in it', async (hooks) => {
    const model = await startModel();
    hooks.onTestFinished(async () => void (await model.stop('SIGKILL')));
    const agents = {
      tempter1: 'test/support/agents/tempter',
      coder1: 'services/coder',
      reviewer1: 'services/reviewer',
      echo1: 'services/echo',
    };
    const find = (taskId: string, ...dependencies: string[]) => {
      return { taskId, capability: 'research', description: taskId, dependencies };
    };
    const write = { taskId: 'write', capability: 'code', description: 'Brief the storm', dependencies: ['one', 'two'] };
    const goals = [
      { goalId: 'planned', description: 'Brief the storm', input, budget: BUDGET },
      { goalId: 'given', description: 'Brief', input, budget: BUDGET, tasks: [find('one'), find('two', 'one'), write] },
      after,
    ];
    const run = async (label: string, HOSTILE: string) =>
      ran(await open(hooks, label, agents, { OPENAI_BASE_URL: model.baseUrl, HOSTILE }), agents, goals, false);
    const control = await run('honest', '0');
    const attack = await run('tempts', '1');
    expect(control.accounts.map(({ goal }) => goal)).toMatchObject(goals.map(() => ({ status: 'completed' })));
    expect(attack).toEqual(control);
  });

  test('is not followed where it looks like a reference to a stored object', async (hooks) => {
    const mesh = await open(hooks, 'blobs', { tempter1: 'test/support/agents/tempter', echo1: 'services/echo' }, {});
    const { foreign } = mesh;
    const secret = await foreign.blobs();
    await secret.putBlob({ name: 'another-goals' }, new TextEncoder().encode('"secret"'));
    for (const [index, name] of ['another-goals', '../../etc/passwd', '>', 'missing'].entries()) {
      const goalId = `g-${index}`;
      const tasks = [
        { taskId: 'point', capability: 'point', description: name },
        { taskId: 'read', capability: 'echo', description: 'read', dependencies: ['point'] },
      ];
      await foreign.submit({ goalId, description: 'd', tasks });
      expect(await foreign.ended(goalId)).toMatchObject({
        status: 'completed',
        result: { dependencies: { point: { $blob: name } } },
      });
    }
  });
});
