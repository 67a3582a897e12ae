/**
 * Any agent accepts any submission. Its message in `<m>_goals` is the receipt and stays unacknowledged until the goal is terminal: it comes round
 * again and again, whoever has died, so that no acknowledged goal can be forgotten (I5). Each time round it is also the sweep of its goal (I6).
 */
import { firstRecords, readSubmission, deadlineOf, type Accepted, type Refused } from '../../core/intake.ts';
import { newGoal, rejectedGoal } from '../../core/goal-machine.ts';
import { sinksOf } from '../../core/dag.ts';
import { type GoalRecord, isTerminalGoal, type LiveGoal } from '../../protocol/goal.ts';
import { timestamp } from '../../protocol/ids.ts';
import type { TaskRecord } from '../../protocol/task.ts';
import type { Delivery, Write } from '../../ports.ts';
import type { Closing } from './closing.ts';
import type { Deps } from './deps.ts';
import { itemWrite } from './items.ts';
import { factsOf, type Materializer } from './materialize.ts';
import { goalWrite, readGoal, taskWrite, type Versioned } from './records.ts';
import type { Sweep } from './sweep.ts';

export interface Intake {
  /** One submission, first time or again. Resolves when nothing more is to be done for now. */
  take(delivery: Delivery): Promise<void>;
  /** The goal ended: its receipt, if it is held here, is acknowledged. */
  ended(goalId: string): void;
  held(): number;
}

/** Graphs up to this size are born in one transition; larger ones are `planning` until the last chunk. */
const AT_ONCE_MAX = 200;
const CREATE = 0;
const RETRY_MS = 1_000;
/** Just above the time after which a receipt comes round. */
const SOON_MS = 12_000;
const COMPLETE_BIRTH_UNTIL = 3;
/** Every third time round the whole graph is looked at. */
const DEEP_EVERY = 3;

export function intakeOf(deps: Deps, materializer: Materializer, closing: Closing, sweep: Sweep): Intake {
  const receipts = new Map<string, Delivery>();

  function hold(goalId: string, delivery: Delivery, deadline: string): void {
    receipts.set(goalId, delivery);
    const left = Date.parse(deadline) - deps.clock.now();
    // A deadline that comes before the receipt comes round again needs a timer of its own; if this agent dies, the receipt is in time enough.
    if (left < SOON_MS) deps.clock.after(Math.max(0, left), () => void sweep.check(goalId, false).catch((error: unknown) => deps.events.engineError('deadline', error, { goalId })));
  }

  async function reject(delivery: Delivery, refused: Refused): Promise<void> {
    const { goalId, error } = refused;
    if (goalId !== undefined) {
      const record = rejectedGoal(goalId, refused.description, error, deps.clock.now());
      // By create: a goal that runs under this id is not touched by a later bad submission.
      const outcome = await deps.store.commit([goalWrite(deps, record, CREATE)]);
      deps.events.transition('goal.reject', outcome.status, { goalId });
      if (outcome.status === 'committed') deps.events.goalEnded(record);
    }
    const origin = delivery.subject === deps.subjects.goalsSubmit ? 'goals' : 'tasks';
    const payload = Buffer.from(delivery.data).toString('base64');
    const letter = { origin, subject: delivery.subject, reason: error, payload, ...(goalId === undefined ? {} : { goalId }), at: timestamp(deps.clock.now()) } as const;
    await deps.dead.put(letter, `${origin}.${delivery.sequence}`);
    deps.events.deadLetter(origin, error.code, goalId === undefined ? {} : { goalId });
    deps.events.goalRejected({ goalId, code: error.code, message: error.message });
    delivery.ack();
  }

  async function accept(delivery: Delivery, accepted: Accepted): Promise<void> {
    const now = deps.clock.now();
    const { goalId, submission, tasks, explicit } = accepted;
    const atOnce = tasks.length <= AT_ONCE_MAX;
    const birth = {
      goalId,
      receipt: delivery.sequence,
      acceptedBy: deps.agentId,
      correlationId: goalId,
      now,
      deadline: deadlineOf(submission, now),
      total: atOnce ? tasks.length : 0,
      sinks: atOnce ? sinksOf(tasks) : [],
      predicted: atOnce ? materializer.predict(tasks) : 0,
    };
    const goal = newGoal(submission, birth, explicit && atOnce ? 'running' : 'planning');
    const graph = atOnce ? birthWrites(firstRecords(tasks, factsOf(goal))) : [];
    const outcome = await deps.store.commit([goalWrite(deps, goal, CREATE), ...graph]);
    deps.events.transition('goal.accept', outcome.status, { goalId, correlationId: goal.correlationId });
    if (outcome.status === 'conflict') return again(delivery, accepted);
    deps.events.goalAccepted(goal);
    hold(goalId, delivery, goal.deadline);
    if (!atOnce) await materializer.run({ record: goal, revision: outcome.revisions[0] ?? 0 }, tasks, 0);
  }

  /** What can start first comes first: it is worked on while the rest is being written. */
  function birthWrites(records: readonly TaskRecord[]): Write[] {
    const roots = records.filter((task) => task.status === 'ready');
    const others = records.filter((task) => task.status !== 'ready');
    return [...roots.map((task) => taskWrite(deps, task, CREATE)), ...roots.map((task) => itemWrite(deps, task)), ...others.map((task) => taskWrite(deps, task, CREATE))];
  }

  /** The goal exists: this receipt came round, or the id was used before. */
  async function again(delivery: Delivery, accepted: Accepted): Promise<void> {
    const goal = await readGoal(deps, accepted.goalId);
    if (goal === undefined) return delivery.retry(RETRY_MS);
    if (isTerminalGoal(goal.record) || goal.record.receipt !== delivery.sequence) return delivery.ack();
    await resume(goal, goal.record, delivery, accepted);
    const after = await readGoal(deps, accepted.goalId);
    if (after !== undefined && isTerminalGoal(after.record)) return delivery.ack();
    hold(accepted.goalId, delivery, goal.record.deadline);
  }

  async function resume(goal: Versioned<GoalRecord>, record: LiveGoal, delivery: Delivery, accepted: Accepted): Promise<void> {
    if (record.stopping !== undefined) return closing.resume(record.goalId);
    // Whoever accepted it may have died between the goal's record and its tasks: creating them again writes only what is missing.
    const records = firstRecords(accepted.tasks, factsOf(record));
    if (accepted.explicit && record.status === 'planning') return materializer.run(goal, accepted.tasks, 0);
    if (delivery.deliveries <= COMPLETE_BIRTH_UNTIL && accepted.tasks.length <= AT_ONCE_MAX) await completeBirth(records);
    await sweep.check(record.goalId, delivery.deliveries % DEEP_EVERY === 0);
  }

  async function completeBirth(records: readonly TaskRecord[]): Promise<void> {
    const outcomes = await Promise.all(records.map((task) => deps.store.commit([taskWrite(deps, task, CREATE)])));
    const born = records.filter((task, index) => task.status === 'ready' && outcomes[index]?.status === 'committed');
    if (born.length > 0) await deps.store.commit(born.map((task) => itemWrite(deps, task)));
  }

  return {
    held: () => receipts.size,
    ended(goalId) {
      receipts.get(goalId)?.ack();
      receipts.delete(goalId);
    },
    async take(delivery) {
      const submission = readSubmission(delivery.data, delivery.sequence, deps.subjects.capabilityOfShorthand(delivery.subject));
      try {
        if (!submission.ok) await reject(delivery, submission);
        else if (delivery.deliveries > 1) await takeAgain(delivery, submission);
        else await accept(delivery, submission);
      } catch (error) {
        // Not acknowledged: it comes round again.
        deps.events.engineError('intake', error, submission.goalId === undefined ? {} : { goalId: submission.goalId });
      }
    },
  };

  async function takeAgain(delivery: Delivery, accepted: Accepted): Promise<void> {
    const goal = await readGoal(deps, accepted.goalId);
    await (goal === undefined ? accept(delivery, accepted) : again(delivery, accepted));
  }
}
