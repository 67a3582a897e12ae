/** What is measured: the graphs of the scorecard, with handlers that do nothing and return 200 bytes. */
import type { Ended } from './mesh.ts';

/** Whatever takes a goal and says when it has ended: the mesh, the floor beside it, a vote. */
export interface Runner<Goal> {
  run(goal: Goal): Promise<Ended>;
}

const bytes = { bytes: 200 };

function task(taskId: string, dependencies: readonly string[], input: object = bytes) {
  return { taskId, capability: 'echo', description: '', dependencies, input };
}

export const chain = { description: 'chain of 3', tasks: [task('a', []), task('b', ['a']), task('c', ['b'])] };

export function fan(width: number) {
  const parts = Array.from({ length: width }, (_, index) => `p${index}`);
  return {
    description: `1 -> ${width} -> 1`,
    tasks: [task('root', []), ...parts.map((part) => task(part, ['root'])), task('join', parts, { digest: true })],
  };
}

export function join(width: number) {
  const parts = Array.from({ length: width }, (_, index) => `p${index}`);
  return {
    description: `${width} and a join`,
    tasks: [...parts.map((part) => task(part, [])), task('join', parts, { digest: true })],
  };
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
}

/** Milliseconds of each of `rounds` goals, one at a time. */
export async function oneAtATime<Goal extends object>(
  runner: Runner<Goal>,
  goal: Goal,
  rounds: number,
): Promise<number[]> {
  const times: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const startedAt = performance.now();
    const ended = await runner.run({ ...goal });
    times.push(ended.at - startedAt);
  }
  return times;
}

/** Goals per second with `inFlight` of them at any time. */
export async function saturated<Goal extends object>(
  runner: Runner<Goal>,
  goal: Goal,
  goals: number,
  inFlight: number,
): Promise<number> {
  const startedAt = performance.now();
  let left = goals;
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      while (left > 0) {
        left -= 1;
        await runner.run({ ...goal });
      }
    }),
  );
  return goals / ((performance.now() - startedAt) / 1_000);
}
