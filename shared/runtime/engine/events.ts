/** What the engine reports of itself; telemetry turns each into a log line and metrics. Names are stable. */
import type { GoalRecord } from '../../protocol/goal.ts';
import type { TaskRecord } from '../../protocol/task.ts';

export type TransitionOutcome = 'committed' | 'conflict';

export interface EngineEvents {
  goalAccepted(goal: GoalRecord): void;
  goalRejected(goal: { readonly goalId: string | undefined; readonly code: string; readonly message: string }): void;
  goalEnded(goal: GoalRecord): void;
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
  taskStarted(task: TaskRecord, queuedMs: number): void;
  taskEnded(task: TaskRecord, durationMs: number): void;
  /** The handler's work was thrown away: lease lost, task cancelled, or another agent committed first. */
  taskDropped(task: TaskRecord, reason: string): void;
  attemptFailed(task: TaskRecord, code: string, message: string, retryInMs: number): void;
  deadLetter(origin: string, code: string, ids: { readonly goalId?: string; readonly taskId?: string }): void;
  sweepRepair(what: string, ids: { readonly goalId: string; readonly taskId?: string }): void;
  budgetRefused(limit: string, goalId: string, message: string): void;
  spent(kind: 'compute' | 'communication', usd: number): void;
  /** Something went wrong that the next delivery will repeat. */
  engineError(where: string, error: unknown, ids: { readonly goalId?: string; readonly taskId?: string }): void;
  capabilityMissing(capability: string, missing: boolean): void;
}
