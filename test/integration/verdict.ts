/** The checker on a mesh that has come to rest. */
import { expect } from 'vitest';
import { gather, judge, logHasCaughtUp, type Verdict } from '../support/checker.ts';
import { missingFromLog } from '../support/log-verdict.ts';
import { waitUntil } from '../support/wait.ts';
import type { Mesh } from './mesh.ts';

/** Expects no violation, and that nothing is left in any queue. */
export async function expectSound(mesh: Mesh, acknowledged: readonly string[]): Promise<Verdict> {
  const { foreign, name } = mesh;
  await waitUntil('every submission is settled', async () => (await foreign.unsettled()) === 0, 30_000);
  await waitUntil(
    'every queue is empty',
    async () => [...(await foreign.queues()).values()].every(({ waiting, held }) => waiting + held === 0),
    30_000,
  );
  const evidence = await waitUntil('the log has caught up', async () => {
    const found = await gather(foreign.nc, name);
    return logHasCaughtUp(found) ? found : undefined;
  });
  const verdict = judge(name, evidence, acknowledged);
  expect(verdict.violations).toEqual([]);
  expect(await missingFromLog(mesh.url, name)).toEqual([]);
  return verdict;
}
