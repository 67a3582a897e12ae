/**
 * Is everything that a task waits for completed? Nobody counts: a shared counter would be one hot key for all finishers. Instead each finisher, after
 * its own completion stands, looks at the other dependencies. Whoever committed last sees them all completed, so at least one finisher releases the
 * task, and a second release is a duplicate item, which the claim makes harmless. A crash between commit and look is repeated by the item's redelivery.
 *
 * Cost: a look begins with the dependency that blocked the last one (one read), and what was seen completed is never read again. The looks of a process
 * are gathered: one begins when the completions are through that were under way when it was asked for, and serves them all. With a look for each, a goal of
 * 5,000 tasks and a join took a quarter more of the agents' processor time.
 */
import type { Memory } from './memory.ts';
import { type Reads, readTask, readTasks, scanEnded } from './records.ts';

/** Reads at once: few at first, for the first may block already; then more and more. */
const WINDOW_FIRST = 8;
const WINDOW_MAX = 128;

export interface Joins {
  /**
   * Runs `release` when every one of `dependencies` is completed, by the leader's word (I2). `name` identifies the join within the goal.
   * Looks at one join are gathered: what was asked for before a look began is served by it. A process releases a join once; if the release fails, the next look does it. Resolves to whether the join is complete.
   */
  whenComplete(
    goalId: string,
    name: string,
    dependencies: readonly string[],
    release: () => Promise<void>,
  ): Promise<boolean>;
  /** Says what `commit` says, a completion in this goal that is under way; looks wait for it. */
  gathering<T>(goalId: string, commit: Promise<T>): Promise<T>;
  /** Whether every one of `dependencies` is completed, by the leader's word (I2). Gathered by `name` like the looks of `whenComplete`. */
  complete(goalId: string, name: string, dependencies: readonly string[]): Promise<boolean>;
  /** What `once` says, a look of another kind: gathered by `name` like the looks of `whenComplete`. */
  gathered(goalId: string, name: string, once: () => Promise<boolean>): Promise<boolean>;
}

export function joinsOf(deps: Reads, memory: Memory): Joins {
  /** Releases that are being written. */
  const releasing = new Map<string, Promise<void>>();
  /** Looks that have begun: what is committed from now on may come too late for them. */
  const looking = new Map<string, Promise<boolean>>();
  /** Looks that have not. */
  const waiting = new Map<string, Promise<boolean>>();
  /** Completions under way, by goal. */
  const committing = new Map<string, Set<Promise<unknown>>>();

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
    const open = unknown.filter((taskId) => !goal.completed.has(taskId));
    for (const task of (await scanEnded(deps, goalId, open)).values()) memory.remember(task.record);
    const left = open.filter((taskId) => !goal.completed.has(taskId));
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

  function begin(key: string, once: () => Promise<boolean>): Promise<boolean> {
    const begun = once().finally(() => {
      if (looking.get(key) === begun) looking.delete(key);
    });
    looking.set(key, begun);
    return begun;
  }

  function gathered(goalId: string, name: string, once: () => Promise<boolean>): Promise<boolean> {
    const key = `${goalId}.${name}`;
    const next = waiting.get(key);
    if (next !== undefined) return next;
    const running = looking.get(key);
    const before = [...(committing.get(goalId) ?? []), ...(running === undefined ? [] : [running])];
    if (before.length === 0) return begin(key, once);
    const gathers = Promise.allSettled(before).then(() => {
      waiting.delete(key);
      return begin(key, once);
    });
    waiting.set(key, gathers);
    return gathers;
  }

  function look(goalId: string, name: string, dependencies: readonly string[]): Promise<boolean> {
    return gathered(goalId, name, () => lookOnce(goalId, name, dependencies));
  }

  function gathering<T>(goalId: string, commit: Promise<T>): Promise<T> {
    const commits = committing.get(goalId) ?? new Set<Promise<unknown>>();
    committing.set(goalId, commits.add(commit));
    return commit.finally(() => {
      commits.delete(commit);
      if (commits.size === 0) committing.delete(goalId);
    });
  }

  return {
    gathering,
    gathered,
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
