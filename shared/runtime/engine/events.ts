/** What the engine reports of itself; telemetry turns each into a log line and metrics. Names are stable. */
import type { GoalRecord, LiveGoal } from '../../protocol/goal.ts';
import type { Revision } from '../../protocol/plan.ts';
import type { TaskRecord } from '../../protocol/task.ts';

/** `held`: put off, because an earlier submission of the same id is in other hands. */
export type TransitionOutcome = 'committed' | 'conflict' | 'held';

/** Where in the engine an error was met that a redelivery repairs. */
export const ENGINE_PARTS = ['intake', 'cancel', 'worker', 'item', 'vote', 'deadline', 'tick'] as const;

export interface EngineEvents {
  goalAccepted(goal: GoalRecord): void;
  goalRejected(goal: { readonly goalId: string | undefined; readonly code: string; readonly message: string }): void;
  goalEnded(goal: GoalRecord): void;
  /** Its graph was changed. */
  goalRevised(goal: LiveGoal, revision: Revision): void;
  goalStopping(goalId: string, status: string, code: string, message: string): void;
  /** One state transition of a task or goal, written or lost to somebody else. */
  transition(
    name: string,
    outcome: TransitionOutcome,
    ids: {
      readonly goalId: string;
      readonly taskId?: string;
      readonly attempt?: number;
      readonly correlationId?: string;
    },
  ): void;
  /** A task's record was written. Absent: nobody wants to know. `startedAt`: when the work on it began, ms since the epoch, if it did. */
  taskMoved?(before: TaskRecord, after: TaskRecord, startedAt: number | undefined): void;
  taskStarted(task: TaskRecord, queuedMs: number): void;
  /** Whoever ended it. `durationMs`: since its last attempt started; undefined when none did. */
  taskEnded(task: TaskRecord, durationMs: number | undefined): void;
  /** The handler's work was thrown away: lease lost, task cancelled, or another agent committed first. */
  taskDropped(task: TaskRecord, reason: string): void;
  /** `retryInMs`: undefined when it was the last attempt. */
  attemptFailed(task: TaskRecord, code: string, message: string, retryInMs: number | undefined): void;
  deadLetter(origin: string, code: string, ids: { readonly goalId?: string; readonly taskId?: string }): void;
  sweepRepair(what: string, ids: { readonly goalId: string; readonly taskId?: string }): void;
  /** A live goal came round. `idleMs`: for how long nothing of it has moved; 0 while somebody works on it within the task's time. */
  goalSwept(goalId: string, idleMs: number): void;
  budgetRefused(limit: string, goalId: string, message: string): void;
  /** The worst case of one more call is reserved in a budget, or of one less. */
  reservations(change: 1 | -1, usd: number): void;
  /** Calls whose holder is gone now count as spent. */
  reservationsLost(goalId: string, calls: number): void;
  spent(kind: 'compute' | 'communication', usd: number): void;
  /** Something went wrong that the next delivery will repeat. */
  engineError(
    where: (typeof ENGINE_PARTS)[number],
    error: unknown,
    ids: { readonly goalId?: string; readonly taskId?: string },
  ): void;
  capabilityMissing(capability: string, missing: boolean): void;
}
