/** Cancelling reaches what is under way, and says what it could not reach. */
import { inject, describe, expect, onTestFinished, test } from 'vitest';
import { type Mesh, openMesh } from '../support/open-mesh.ts';
import { waitUntil } from '../support/wait.ts';
import { startCli } from './cli/process.ts';
import { startModel } from './model/model-process.ts';

/** What PROTOCOL promises, with the time in which the test looks. */
const CONFIRMED_MS = 6_000;
const TEXT = { text: 'The mill was built in 1890. It burned down in 1912.' };

interface Ward {
  readonly mesh: Mesh;
  /** Requests that the endpoint has not answered, and whose caller has not hung up. */
  open(): Promise<number>;
  cancel(goalId: string): Promise<{ readonly code: number | null; readonly said: string }>;
}

/** A mesh whose model never answers. */
async function ward(label: string): Promise<Ward> {
  const model = await startModel({ MODEL_FAULTS: 'hang:1' });
  onTestFinished(async () => void (await model.stop('SIGKILL')));
  const mesh = await openMesh(label, inject('natsUrl'));
  onTestFinished(() => mesh.close());
  const env = { OPENAI_BASE_URL: model.baseUrl, MODEL_TIMEOUT_MS: '60000' };
  await Promise.all([
    mesh.agent('researcher-1', { folder: 'services/researcher', env }),
    mesh.agent('reviewer-1', { folder: 'services/reviewer', env }),
    mesh.agent('echo-1'),
    mesh.agent('echo-2'),
  ]);
  return {
    mesh,
    async open() {
      const faults = (await (await fetch(`${model.origin}/faults`)).json()) as { readonly open: number };
      return faults.open;
    },
    async cancel(goalId) {
      const cli = startCli(['cancel', goalId], { env: { NATS_URL: mesh.url, MESH: mesh.name } });
      const code = await cli.end();
      return { code, said: cli.stdout() + cli.stderr() };
    },
  };
}

const research = { taskId: 'hangs', capability: 'research', description: 'facts', input: TEXT };
const after = { taskId: 'after', capability: 'echo', description: '', dependencies: ['hangs'] };

describe('a goal whose model hangs', () => {
  test('is cancelled: the request is closed, what had not begun is cancelled, and the agents confirm it', async () => {
    const { mesh, open, cancel } = await ward('hanging');
    await mesh.foreign.submit({ goalId: 'g', description: 'hang', tasks: [research, after] });
    await waitUntil('the model is being asked', async () => (await open()) === 1);
    expect(await mesh.foreign.services('STATS', 1, '.conclave-researcher.researcher-1')).toMatchObject([
      { running: ['g.hangs'] },
    ]);
    const { code, said } = await cancel('g');
    expect(code).toBe(0);
    expect(said).toMatch(/cancelled 1 task that had not begun, stopped 1 of 1 running task,/);
    expect(said).not.toContain('not confirmed');
    await waitUntil('the request is closed', async () => (await open()) === 0, CONFIRMED_MS);
    const goal = await mesh.foreign.ended('g', CONFIRMED_MS);
    expect(goal).toMatchObject({ status: 'cancelled', tasks: { total: 2, completed: 0, failed: 0, cancelled: 2 } });
    expect(await mesh.foreign.task('g', 'hangs')).toMatchObject({ status: 'cancelled', agentId: 'researcher-1' });
    // Nobody knows what the endpoint charged for a call that was broken off.
    expect(goal.spent.tokens).toBeGreaterThan(0);
  });

  test('is cancelled while its voter thinks: that request is closed too', async () => {
    const { mesh, open, cancel } = await ward('voting');
    const vote = { capability: 'review', rule: { method: 'majority' }, onReject: 'fail' };
    const voted = { taskId: 'voted', capability: 'echo', description: 'a mill', input: TEXT, vote };
    await mesh.foreign.submit({ goalId: 'v', description: 'hang', tasks: [voted] });
    await waitUntil('the voter asks its model', async () => (await open()) === 1);
    const { said } = await cancel('v');
    expect(said).toContain('stopped 1 of 1 running task,');
    await waitUntil('the request is closed', async () => (await open()) === 0, CONFIRMED_MS);
    expect(await mesh.foreign.ended('v')).toMatchObject({ status: 'cancelled' });
  });

  test('is cancelled although an agent of it is frozen: the command lists it, and its late result does not count', async () => {
    const { mesh, cancel } = await ward('frozen');
    const slow = (taskId: string) => ({ taskId, capability: 'echo', description: '', input: { delayMs: 4_000 } });
    const frozen = await mesh.agent('echo-3');
    await mesh.foreign.submit({
      goalId: 'f',
      description: 'slow',
      tasks: Array.from({ length: 24 }, (_, n) => slow(`t${n}`)),
    });
    const held = await waitUntil('the third agent has claimed some of it', async () => {
      const tasks = [...(await mesh.foreign.tasks('f')).values()].filter(({ agentId }) => agentId === 'echo-3');
      return tasks.length > 0 ? tasks : undefined;
    });
    await frozen.signal('SIGSTOP');
    const { code, said } = await cancel('f');
    expect(code).toBe(0);
    for (const { taskId } of held)
      expect(said).toContain(`not confirmed: task ${taskId}, agent echo-3 does not answer; its result will not count`);
    expect(said).not.toMatch(/agent echo-[12] /);
    await frozen.signal('SIGCONT');
    const records = () => mesh.foreign.tasks('f').then((tasks) => [...tasks.values()].map(({ status }) => status));
    await waitUntil('the thawed agent has let go', async () => {
      const [stats] = await mesh.foreign.services('STATS', 1, '.conclave-echo.echo-3');
      return (stats?.['running'] as string[] | undefined)?.length === 0;
    });
    expect(new Set(await records())).toEqual(new Set(['cancelled']));
    expect(await mesh.foreign.goal('f')).toMatchObject({ status: 'cancelled', tasks: { cancelled: 24 } });
  });
});
