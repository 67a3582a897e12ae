/** Plans that are too large, that call for plans without end, or that cost more than there is: each is stopped with a reason, and a smaller one of its kind is not. */
import { describe, expect, inject, test, type TestContext } from 'vitest';
import { startModel } from '../integration/model/model-process.ts';
import { type Mesh, openMesh } from '../integration/mesh.ts';
import { expectSound } from '../integration/verdict.ts';
import { startBetween } from '../support/hostile-model.ts';
import { STORM } from '../unit/model/sample.ts';

type Hooks = Pick<TestContext, 'onTestFailed' | 'onTestFinished'>;

async function open(hooks: Hooks, label: string, agents: Readonly<Record<string, string>>, env = {}): Promise<Mesh> {
  const mesh = await openMesh(label, inject('natsUrl'));
  hooks.onTestFinished(() => mesh.close());
  hooks.onTestFailed(() => void process.stderr.write(`${mesh.tails()}\n`));
  await Promise.all(Object.entries(agents).map(([id, folder]) => mesh.agent(id, { folder, env })));
  return mesh;
}

describe('a plan of a planner that was taken over', () => {
  const agents = { bomber1: 'test/support/agents/bomber', echo1: 'services/echo', echo2: 'services/echo' };

  test('of more tasks than a goal may have is no plan', async (hooks) => {
    const { foreign, ...mesh } = await open(hooks, 'wide', agents);
    await foreign.submit({ goalId: 'control', description: 'd', input: { wide: 300 } });
    expect(await foreign.ended('control', 60_000)).toMatchObject({ status: 'completed', tasks: { total: 301 } });
    await foreign.submit({ goalId: 'bomb', description: 'd', input: { wide: 10_001 } });
    expect(await foreign.ended('bomb', 60_000)).toMatchObject({
      status: 'failed',
      error: { code: 'unplannable', message: expect.stringContaining('10000') },
      tasks: { total: 1 },
    });
    expect([...(await foreign.tasks('bomb')).keys()]).toEqual(['plan']);
    await expectSound({ foreign, ...mesh }, ['control', 'bomb']);
  });

  test('that calls for another one without end comes to the bound of a graph’s revisions', async (hooks) => {
    const { foreign, ...mesh } = await open(hooks, 'spiral', agents);
    await foreign.submit({ goalId: 'control', description: 'd', input: { levels: 5, wide: 3 } });
    expect(await foreign.ended('control', 60_000)).toMatchObject({ status: 'completed', tasks: { total: 24 } });
    await foreign.submit({ goalId: 'bomb', description: 'd', input: { levels: 1_000_000, wide: 3 } });
    expect(await foreign.ended('bomb', 90_000)).toMatchObject({
      status: 'failed',
      error: { code: 'unplannable', message: expect.stringContaining('at most 64 revisions') },
      // The first plan, and that of each revision: three tasks and the next one that plans.
      tasks: { total: 1 + 65 * 4 },
    });
    expect(await foreign.revisions('plan.bomb.*')).toHaveLength(64);
    await expectSound({ foreign, ...mesh }, ['control', 'bomb']);
  });
});

describe('a plan of a model that was taken over', () => {
  const roles = ['planner', 'researcher', 'coder', 'reviewer'];
  const agents = Object.fromEntries(roles.map((role) => [`${role}1`, `services/${role}`]));
  const input = { text: STORM };
  const steps = (count: number) =>
    Array.from({ length: count }, (_, index) => {
      return { id: `s${index}`, title: '', description: 'Find', capability: 'research', dependsOn: [] };
    });
  const planning = (content: string, count: number): string =>
    content.includes('"steps"') ? JSON.stringify({ steps: steps(count) }) : content;

  /** A mesh whose model proposes that many steps. */
  async function proposing(hooks: Hooks, label: string, count: number): Promise<Mesh> {
    const model = await startModel();
    hooks.onTestFinished(async () => void (await model.stop('SIGKILL')));
    const between = await startBetween(model.baseUrl, (content) => planning(content, count));
    hooks.onTestFinished(() => between.close());
    return open(hooks, label, agents, { OPENAI_BASE_URL: between.baseUrl });
  }

  test('of more steps than a model may propose is replaced by the fixed one, which says why', async (hooks) => {
    const few = await proposing(hooks, 'few', 5);
    await few.foreign.submit({ goalId: 'g', description: 'Brief', input });
    expect(await few.foreign.ended('g', 60_000)).toMatchObject({ status: 'completed', tasks: { total: 6 } });
    const many = await proposing(hooks, 'many', 5_000);
    await many.foreign.submit({ goalId: 'g', description: 'Brief', input });
    expect(await many.foreign.ended('g', 60_000)).toMatchObject({ status: 'completed', tasks: { total: 4 } });
    expect(await many.foreign.task('g', 'plan')).toMatchObject({
      result: { source: 'fallback', reason: expect.stringContaining('expected at most 64 steps, got 5000') },
    });
    await expectSound(many, ['g']);
  });

  test('of as many steps as it may propose does not cost more than there is', async (hooks) => {
    const mesh = await proposing(hooks, 'dear', 64);
    const { foreign } = mesh;
    await foreign.submit({ goalId: 'control', description: 'Brief', input, budget: { usd: 1 } });
    const control = await foreign.ended('control', 90_000);
    expect(control).toMatchObject({ status: 'completed', tasks: { total: 65 } });
    const usd = control.spent.usd / 2;
    await foreign.submit({ goalId: 'bomb', description: 'Brief', input, budget: { usd } });
    const bomb = await foreign.ended('bomb', 90_000);
    expect(bomb).toMatchObject({ status: 'failed', error: { code: 'budget_exceeded' } });
    expect(bomb.spent.usd).toBeLessThanOrEqual(usd);
    await expectSound(mesh, ['control', 'bomb']);
  });
});
