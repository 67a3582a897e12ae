/** Counts and spending in the record of a running goal, at most a second behind; goals that end sooner never pay for it. */
import { isTerminalGoal } from '../../protocol/goal.ts';
import type { Deps } from './deps.ts';
import type { Ledgers } from './ledgers.ts';
import { moveGoal, readGoal } from './records.ts';

interface Delta {
  completed: number;
  failed: number;
  cancelled: number;
  readonly since: number;
}

const LAG_MS = 1_000;

export interface Progress {
  ended(goalId: string, status: 'completed' | 'failed' | 'cancelled'): void;
  /** The goal's account changed, while none of its tasks ended perhaps. */
  charged(goalId: string): void;
  /** The goal is terminal; its record is exact. */
  forget(goalId: string): void;
  tick(): Promise<void>;
}

export function progressOf(deps: Deps, ledgers: Ledgers): Progress {
  const deltas = new Map<string, Delta>();

  async function flush(goalId: string, delta: Delta): Promise<void> {
    // Most goals that somebody else ended are seen to be over here, by one read.
    const goal = await readGoal(deps, goalId);
    if (goal === undefined || isTerminalGoal(goal.record)) return;
    const spending = await ledgers.spending(goalId);
    const { completed, failed, cancelled } = delta;
    const at = deps.clock.now();
    await moveGoal(deps, goalId, () => ({ type: 'progress', completed, failed, cancelled, spending, at }), goal);
  }

  function deltaOf(goalId: string): Delta {
    const delta = deltas.get(goalId) ?? { completed: 0, failed: 0, cancelled: 0, since: deps.clock.now() };
    deltas.set(goalId, delta);
    return delta;
  }

  return {
    ended(goalId, status) {
      deltaOf(goalId)[status] += 1;
    },
    charged: (goalId) => void deltaOf(goalId),
    forget: (goalId) => void deltas.delete(goalId),
    async tick() {
      const now = deps.clock.now();
      const due = [...deltas].filter(([, delta]) => now - delta.since >= LAG_MS);
      for (const [goalId] of due) deltas.delete(goalId);
      await Promise.all(due.map(([goalId, delta]) => flush(goalId, delta)));
    },
  };
}
