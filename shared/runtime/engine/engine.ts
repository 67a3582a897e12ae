/** Puts the parts of the engine together. The same engine runs on NATS and in the simulation. */
import type { Predict } from '../../core/prediction.ts';
import type { Delivery } from '../../ports.ts';
import type { RunHandler } from './attempt.ts';
import { attemptsOf } from './attempt.ts';
import { cancelsOf } from './cancel.ts';
import { closingOf } from './closing.ts';
import type { Deps } from './deps.ts';
import { intakeOf } from './intake.ts';
import { readyMarks } from './items.ts';
import { joinsOf } from './joins.ts';
import { ledgersOf, type Ledgers } from './ledgers.ts';
import { materializerOf } from './materialize.ts';
import { memoryOf } from './memory.ts';
import { progressOf } from './progress.ts';
import { propagationOf } from './propagate.ts';
import { type HoldRound, review } from './review.ts';
import { revisionsOf } from './revisions.ts';
import { sweepOf } from './sweep.ts';
import { workerOf } from './worker.ts';

export interface EngineOptions {
  readonly runHandler: (ledgers: Ledgers) => RunHandler;
  readonly hold: HoldRound;
  readonly predict: Predict;
}

export interface Engine {
  /** One submission from `<m>_goals`. */
  submission(delivery: Delivery): Promise<void>;
  /** One cancel request from `<m>_goals`. */
  cancel(delivery: Delivery): Promise<void>;
  /** One work item of a capability. */
  item(delivery: Delivery, capability: string): Promise<void>;
  /** Somebody ended a goal whose receipt may be held here. */
  goalEnded(goalId: string): void;
  /** A goal may have been cancelled: running tasks of it look at once. */
  recheck(goalId: string): void;
  /** Every third of a lease. */
  renewLeases(): void;
  /** Several times a second. */
  tick(): Promise<void>;
  running(): number;
  /** Tasks that are worked on here, as `<goalId>.<taskId>`. */
  runningTasks(): readonly string[];
  receipts(): number;
  /** Goes on with no further task of a chain. */
  drain(): void;
  abandon(): void;
  readonly ledgers: Ledgers;
}

export function engineOf(deps: Deps, options: EngineOptions): Engine {
  const memory = memoryOf();
  const ledgers = ledgersOf(deps, memory, (goalId) => progress.charged(goalId));
  const progress = progressOf(deps, ledgers);
  const revisions = revisionsOf(deps, memory);
  const joins = joinsOf(deps, memory);
  const closing = closingOf(deps, memory, joins, ledgers, revisions, goalEnded);
  const marks = readyMarks(deps);
  const materializer = materializerOf(deps, closing, options.predict);
  const propagation = propagationOf({ deps, memory, joins, closing, marks, materializer, revisions });
  const sweep = sweepOf(deps, { closing, propagation, revisions, ledgers });
  const intake = intakeOf({ deps, memory, materializer, closing, sweep });
  const cancels = cancelsOf(deps, closing);
  const attempts = attemptsOf({
    deps,
    memory,
    propagation,
    closing,
    marks,
    runHandler: options.runHandler(ledgers),
    review: (task, proposed, dependencies, signal) => {
      if (task.vote === undefined) throw new Error('a task without a vote is never reviewed');
      return review({ deps, ledgers, hold: options.hold }, task, task.vote, proposed, dependencies, signal);
    },
    onProgress: (goalId, status) => progress.ended(goalId, status),
  });
  const worker = workerOf({ deps, memory, propagation, closing, attempts });

  function goalEnded(goalId: string): void {
    intake.ended(goalId);
    progress.forget(goalId);
    memory.forget(goalId);
  }

  return {
    ledgers,
    submission: (delivery) => intake.take(delivery),
    cancel: (delivery) => cancels.take(delivery),
    item: (delivery, capability) => worker.handle(delivery, capability),
    goalEnded,
    recheck: (goalId) => worker.recheck(goalId),
    renewLeases: () => worker.tick(),
    async tick() {
      intake.tick();
      const failed = (await Promise.allSettled([marks.tick(), progress.tick()])).find(
        (result) => result.status === 'rejected',
      );
      if (failed !== undefined) deps.events.engineError('tick', failed.reason, {});
    },
    running: () => worker.running(),
    runningTasks: () => worker.runningTasks(),
    receipts: () => intake.held(),
    drain: () => worker.drain(),
    abandon: () => worker.abandon(),
  };
}
