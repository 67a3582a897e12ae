/** A stranger who keeps submitting goals, a few at a time, whatever happens to the mesh meanwhile. */
import type { Foreign } from './foreign.ts';
import { waitUntil } from './wait.ts';

const IN_FLIGHT = 6;
const GOAL_MS_MAX = 120_000;
const RECEIPT_MS_MAX = 60_000;

export interface Load {
  /** Resolves when so many goals have ended. */
  ended(count: number): Promise<unknown>;
  /** The same of goals that are submitted from now on. */
  endedOfNew(count: number): Promise<unknown>;
  /** No new ones; waits for those that are out. @throws Error naming a goal that did not complete. */
  finish(): Promise<{ readonly submitted: number; readonly completed: number }>;
  /** Ids of all goals with a receipt. */
  acknowledged(): readonly string[];
  stop(): void;
}

/** @param prefix of the goals' ids. */
export function startLoad(foreign: Foreign, prefix: string): Load {
  const done: string[] = [];
  const acknowledged: string[] = [];
  const failures: Error[] = [];
  let next = 0;
  const stopping = new AbortController();

  async function one(): Promise<void> {
    const number = next;
    next += 1;
    const goalId = `${prefix}-${number}`;
    const task = (taskId: string, dependencies: readonly string[]) => ({
      taskId,
      capability: 'echo',
      description: 'a step',
      // More than the fast path allows: such a task is claimed, and can be caught at it.
      input: { delayMs: 40 + (number % 5) * 40 },
      dependencies,
    });
    const goal = {
      goalId,
      description: 'load',
      tasks: [task('a', []), task('b', ['a']), task('c', ['a']), task('d', ['b', 'c'])],
    };
    // Without an answer nobody knows whether it arrived; the same id twice is one goal.
    await waitUntil(
      `goal ${goalId} has a receipt`,
      () =>
        foreign.submit(goal).then(
          () => true,
          () => false,
        ),
      RECEIPT_MS_MAX,
    );
    acknowledged.push(goalId);
    const status = await waitUntil(
      `goal ${goalId} is terminal`,
      async () => {
        const record = await foreign.goal(goalId).catch(() => undefined);
        return record?.finishedAt === undefined ? undefined : record.status;
      },
      GOAL_MS_MAX,
    );
    if (status !== 'completed') throw new Error(`goal ${goalId} ended ${status}`);
    done.push(goalId);
  }

  async function line(): Promise<void> {
    while (!stopping.signal.aborted && failures.length === 0) {
      await one().catch(
        (error: unknown) => void failures.push(error instanceof Error ? error : new Error(String(error))),
      );
    }
  }

  const lines = Promise.all(Array.from({ length: IN_FLIGHT }, line));
  const reached = (what: string, probe: () => boolean): Promise<unknown> =>
    waitUntil(
      what,
      () => {
        if (failures[0] !== undefined) throw failures[0];
        return probe();
      },
      GOAL_MS_MAX,
    );
  return {
    ended: (count) => reached(`${count} goals have ended`, () => done.length >= count),
    endedOfNew(count) {
      const from = next;
      const isNew = (goalId: string): boolean => Number(goalId.slice(prefix.length + 1)) >= from;
      return reached(`${count} new goals have ended`, () => done.filter(isNew).length >= count);
    },
    async finish() {
      stopping.abort();
      // Each goal has a limit of its own.
      await lines;
      if (failures[0] !== undefined) throw failures[0];
      return { submitted: next, completed: done.length };
    },
    acknowledged: () => [...acknowledged],
    stop() {
      stopping.abort();
    },
  };
}
