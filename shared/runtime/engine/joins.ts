/**
 * Is everything that a task waits for completed? Nobody counts: a shared counter would be one hot key for all finishers. Instead each finisher, after
 * its own completion stands, looks at the other dependencies. Whoever committed last sees them all completed, so at least one finisher releases the
 * task, and a second release is a duplicate item, which the claim makes harmless. A crash between commit and look is repeated by the item's redelivery.
 *
 * Cost: a look begins with the dependency that blocked the last one (one read), and what was seen completed is never read again.
 */
import type { Deps } from './deps.ts';
import type { Memory } from './memory.ts';
import { readTask, readTasks, scanTasks } from './records.ts';

/** Reads at once: few at first, for the first may block already; then more and more. */
const WINDOW_FIRST = 8;
const WINDOW_MAX = 128;
/** From this many unknown dependencies on, one scan is cheaper than reads. */
const SCAN_FROM = 200;

export interface Joins {
  /**
   * Runs `release` when every one of `dependencies` is completed, by the leader's word (I2). `name` identifies the join within the goal.
   * Looks at one join are coalesced: a look that was asked for while another ran is done once more after it. A process releases a join once;
   * if the release fails, the next look does it. Resolves to whether the join is complete.
   */
  whenComplete(
    goalId: string,
    name: string,
    dependencies: readonly string[],
    release: () => Promise<void>,
  ): Promise<boolean>;
  /** Whether every one of `dependencies` is completed, by the leader's word (I2). Coalesced by `name` like the looks of `whenComplete`. */
  complete(goalId: string, name: string, dependencies: readonly string[]): Promise<boolean>;
}

export function joinsOf(deps: Deps, memory: Memory): Joins {
  /** Releases that are being written. */
  const releasing = new Map<string, Promise<void>>();
  const looking = new Map<string, { again: Promise<boolean> | undefined; current: Promise<boolean> }>();

  async function isCompleted(goalId: string, taskId: string): Promise<boolean> {
    const task = await readTask(deps, goalId, taskId);
    if (task !== undefined) memory.remember(task.record);
    return task?.record.status === 'completed';
  }

  async function lookOnce(goalId: string, name: string, dependencies: readonly string[]): Promise<boolean> {
    const goal = memory.of(goalId);
    const blocked = goal.blockedOn.get(name);
    if (blocked !== undefined && !goal.completed.has(blocked) && !(await isCompleted(goalId, blocked))) return false;
    // Work is handed out roughly in order, so the last dependency is the likeliest to be missing.
    const unknown = dependencies.filter((taskId) => !goal.completed.has(taskId)).reverse();
    const [last] = unknown;
    if (last !== undefined && unknown.length > 1 && !(await isCompleted(goalId, last)))
      return block(goalId, name, last);
    if (unknown.length > SCAN_FROM) {
      for (const task of (await scanTasks(deps, goalId)).values()) memory.remember(task.record);
    }
    const left = unknown.filter((taskId) => !goal.completed.has(taskId));
    for (
      let start = 0, size = WINDOW_FIRST;
      start < left.length;
      start += size, size = Math.min(size * 4, WINDOW_MAX)
    ) {
      const window = left.slice(start, start + size);
      for (const task of (await readTasks(deps, goalId, window)).values()) memory.remember(task.record);
      const missing = window.find((taskId) => !goal.completed.has(taskId));
      if (missing !== undefined) return block(goalId, name, missing);
    }
    return true;
  }

  function block(goalId: string, name: string, taskId: string): false {
    memory.of(goalId).blockedOn.set(name, taskId);
    return false;
  }

  function look(goalId: string, name: string, dependencies: readonly string[]): Promise<boolean> {
    const key = `${goalId}.${name}`;
    const running = looking.get(key);
    if (running !== undefined) {
      // What this caller committed may have come too late for the look under way.
      running.again ??= running.current.catch(() => false).then(() => look(goalId, name, dependencies));
      return running.again;
    }
    const current = lookOnce(goalId, name, dependencies).finally(() => looking.delete(key));
    looking.set(key, { current, again: undefined });
    return current;
  }

  return {
    complete: look,
    async whenComplete(goalId, name, dependencies, release) {
      const key = `${goalId}.${name}`;
      if (!memory.of(goalId).released.has(name) && !(await look(goalId, name, dependencies))) return false;
      const { released } = memory.of(goalId);
      if (!released.has(name)) {
        released.add(name);
        const current = release().finally(() => releasing.delete(key));
        releasing.set(key, current);
      }
      try {
        // Also whoever comes second waits until it is written: what is acknowledged before could be lost with this process.
        await releasing.get(key);
      } catch (error) {
        released.delete(name);
        throw error;
      }
      return true;
    },
  };
}
