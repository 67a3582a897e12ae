/** Whether a task costs the same in a large goal as in a small one. */
import { within } from './alternate.ts';
import { cpuUs } from './machine.ts';
import type { Mesh } from './mesh.ts';
import { logSettled } from './rows.ts';
import { join, median, oneAtATime } from './scenarios.ts';

export interface GoalSize {
  readonly tasks: number;
  readonly rounds: number;
  /** Wall time of the goal divided by its tasks, microseconds, the median of the rounds. */
  readonly wallUs: number;
  /** Processor time of server and workers per task, microseconds. */
  readonly cpuUs: number | undefined;
}

const SIZES = [100, 1_000, 10_000];
const GOAL_MS_MAX = 180_000;

export async function measureLinear(mesh: Mesh, quick: boolean): Promise<GoalSize[]> {
  const pids = [mesh.broker.pid, ...mesh.workers.map((worker) => worker.pid)];
  const sizes: GoalSize[] = [];
  for (const tasks of SIZES) {
    const goal = join(tasks - 1);
    // About as many tasks at each size, or the small ones would be lost in the clock's resolution.
    const rounds = Math.max(quick ? 1 : 3, Math.round((quick ? 2_000 : 5_000) / tasks));
    const run = (times: number) => within(GOAL_MS_MAX, `goals of ${tasks} tasks`, oneAtATime(mesh, goal, times));
    if (tasks < 10_000) await run(1);
    await logSettled(mesh);
    const before = cpuUs(pids);
    const times = await run(rounds);
    await logSettled(mesh);
    const after = cpuUs(pids);
    const used = before === undefined || after === undefined ? undefined : (after - before) / (rounds * tasks);
    sizes.push({ tasks, rounds, wallUs: (median(times) * 1_000) / tasks, cpuUs: used });
  }
  return sizes;
}
