/**
 * Any agent accepts any submission. Its message in `<m>_goals` is the receipt and stays unacknowledged until the goal is terminal: it comes round
 * again and again, whoever has died, so that no acknowledged goal can be forgotten (I5). Each time round it is also the sweep of its goal (I6).
 */
import {
  type Accepted,
  deadlineOf,
  firstRecords,
  readSubmission,
  type Refused,
  replansOf,
  revisionsMaxOf,
} from '../../core/intake.ts';
import { newGoal, rejectedGoal } from '../../core/goal-machine.ts';
import { sinksOf } from '../../core/dag.ts';
import { type GoalRecord, isTerminalGoal, type LiveGoal } from '../../protocol/goal.ts';
import { timestamp } from '../../protocol/ids.ts';
import type { TaskRecord } from '../../protocol/task.ts';
import { cleanTraceparent } from '../../protocol/trace.ts';
import type { Delivery, Write } from '../../ports.ts';
import { factsOf } from './births.ts';
import type { Closing } from './closing.ts';
import type { Deps } from './deps.ts';
import { type Earlier, earlierOf } from './earlier.ts';
import { itemWrite, NEAR_MAX, nearOf } from './items.ts';
import type { Materializer } from './materialize.ts';
import type { Memory } from './memory.ts';
import { goalWrite, readGoal, readTasks, taskWrite, type Versioned } from './records.ts';
import type { Sweep } from './sweep.ts';

export interface Intake {
  /** One submission, first time or again. Resolves when nothing more is to be done for now. */
  take(delivery: Delivery): Promise<void>;
  /** The goal ended: its receipt, if it is held here, is acknowledged. */
  ended(goalId: string): void;
  held(): number;
  /** Lets go of receipts that were held too long; several times a second. */
  tick(): void;
}

interface Parts {
  readonly deps: Deps;
  readonly memory: Memory;
  readonly materializer: Materializer;
  readonly closing: Closing;
  readonly sweep: Sweep;
}

interface Begun {
  readonly goal: LiveGoal;
  readonly records: readonly TaskRecord[];
  /** Small enough that its items carry the whole graph. */
  readonly near: boolean;
  readonly revisionsMax: number;
  readonly revisions: readonly (number | undefined)[];
}

interface Overtook {
  readonly earlier: Earlier | undefined;
  /** Of the record that was left; undefined: none was. */
  readonly revision: number | undefined;
}

type Acceptance =
  | ({ readonly status: 'accepted'; readonly ended: boolean } & Begun)
  | ({ readonly status: 'held' } & Overtook)
  | { readonly status: 'conflict' };

/** Graphs up to this size are born in one transition; larger ones are `planning` until the last chunk. */
const AT_ONCE_MAX = 200;
const CREATE = 0;
const RETRY_MS = 1_000;
/** Just above the time after which a receipt comes round. */
const SOON_MS = 12_000;
/** The word that a goal ended may be lost, and a receipt that came round is in other hands: nobody waits longer to be told (I11). */
const HELD_MS_MAX = 60_000;
/** A submission that was overtaken, or overtook, comes again after so long, then twice that, up to RETRY_MS. */
const OVERTAKEN_MS = 25;
const COMPLETE_BIRTH_UNTIL = 3;
/** The first time and every third time round the whole graph is looked at. */
const DEEP_EVERY = 3;

export function intakeOf({ deps, memory, materializer, closing, sweep }: Parts): Intake {
  /** Goals whose records are being written: a quick goal may end before this agent hears that its write stands. */
  const accepting = new Map<string, { ended: boolean }>();
  /** In the order in which they were taken. */
  const receipts = new Map<string, { readonly delivery: Delivery; readonly since: number }>();

  function hold(goalId: string, acceptedBy: string, delivery: Delivery, deadline: string): void {
    // Only the agent that accepted the goal hears of its end; whoever else has the receipt leaves it to its lease.
    if (acceptedBy === deps.agentId) {
      receipts.delete(goalId);
      receipts.set(goalId, { delivery, since: deps.clock.now() });
    }
    const left = Date.parse(deadline) - deps.clock.now();
    // A deadline that comes before the receipt comes round again needs a timer of its own; if this agent dies, the receipt is in time enough.
    if (left < SOON_MS)
      deps.clock.after(
        Math.max(0, left),
        () =>
          void sweep
            .check(goalId, false)
            .catch((error: unknown) => deps.events.engineError('deadline', error, { goalId })),
      );
  }

  async function reject(delivery: Delivery, refused: Refused): Promise<void> {
    const { goalId, error } = refused;
    if (goalId !== undefined) {
      const first = await earlierOf(deps, delivery.sequence, goalId);
      // A bad submission must not take the id from a good one that came first and is still in other hands.
      if (first !== undefined && (await readGoal(deps, goalId)) === undefined) return later(delivery);
      const record = rejectedGoal(
        goalId,
        refused.description,
        error,
        deps.clock.now(),
        cleanTraceparent(delivery.traceparent),
      );
      // By create: a goal that runs under this id is not touched by a later bad submission.
      const outcome = await deps.store.commit([goalWrite(deps, record, CREATE)]);
      deps.events.transition('goal.reject', outcome.status, { goalId });
      if (outcome.status === 'committed') deps.events.goalEnded(record);
    }
    const origin = delivery.subject === deps.subjects.goalsSubmit ? 'goals' : 'tasks';
    const payload = Buffer.from(delivery.data).toString('base64');
    const letter = {
      origin,
      subject: delivery.subject,
      reason: error,
      payload,
      ...(goalId === undefined ? {} : { goalId }),
      at: timestamp(deps.clock.now()),
    } as const;
    await deps.dead.put(letter, `${origin}.${delivery.sequence}`);
    deps.events.deadLetter(origin, error.code, goalId === undefined ? {} : { goalId });
    deps.events.goalRejected({ goalId, code: error.code, message: error.message });
    delivery.ack();
  }

  /** `standing`: the record that a later submission of this id left, to be replaced by this one. */
  async function accept(
    receipt: number,
    { goalId, submission, tasks, explicit, growsTo }: Accepted,
    { standing, ...trace }: { readonly standing?: number; readonly traceparent?: string | undefined },
  ): Promise<Acceptance> {
    const now = deps.clock.now();
    const atOnce = tasks.length <= AT_ONCE_MAX;
    const replansMax = replansOf(submission, explicit);
    const revisionsMax = growsTo ?? (explicit ? revisionsMaxOf({ ...submission, replansMax }, tasks, 0) : 0);
    // Kept in the goal's records, so that the trace outlives every process that works on the goal.
    const traceparent = cleanTraceparent(trace.traceparent);
    const birth = {
      goalId,
      receipt,
      acceptedBy: deps.agentId,
      correlationId: goalId,
      ...(traceparent === undefined ? {} : { traceparent }),
      now,
      deadline: deadlineOf(submission, now),
      total: atOnce ? tasks.length : 0,
      sinks: atOnce ? sinksOf(tasks) : [],
      predicted: atOnce ? materializer.predict(tasks, 'any') : 0,
      replansMax,
      revisionsMax: atOnce ? revisionsMax : 0,
    };
    // What grows from its first task runs from the beginning; what is to be planned, or written in chunks, does not yet.
    const runs = (explicit && atOnce) || growsTo !== undefined;
    const goal = newGoal(submission, birth, runs ? 'running' : 'planning');
    const records = atOnce ? birthOrder(firstRecords(tasks, factsOf(goal))) : [];
    const near = atOnce && tasks.length <= NEAR_MAX && revisionsMax === 0;
    const writing = { ended: false };
    const doubt = standing === undefined && goalId !== `g-${receipt}` ? earlierOf(deps, receipt, goalId) : undefined;
    accepting.set(goalId, writing);
    const transition = [goalWrite(deps, goal, standing ?? CREATE), ...birthWrites(records, near)];
    const outcome = await (doubt === undefined
      ? deps.store.commit(transition)
      : deps.store.commitUnless(
          transition,
          doubt.then((earlier) => earlier !== undefined),
        )
    ).finally(() => {
      if (accepting.get(goalId) === writing) accepting.delete(goalId);
    });
    deps.events.transition('goal.accept', outcome.status, { goalId, correlationId: goal.correlationId });
    if (outcome.status === 'conflict') return { status: 'conflict' };
    if (outcome.status === 'held') return { status: 'held', earlier: await doubt, revision: outcome.revision };
    deps.events.goalAccepted(goal);
    return {
      status: 'accepted',
      goal,
      ended: writing.ended,
      records,
      near,
      revisionsMax,
      revisions: outcome.revisions,
    };
  }

  async function acceptFirst(delivery: Delivery, accepted: Accepted): Promise<void> {
    const { traceparent } = delivery;
    const acceptance = await accept(delivery.sequence, accepted, { traceparent });
    if (acceptance.status === 'conflict') return again(delivery, accepted);
    if (acceptance.status === 'held') return giveWay(delivery, acceptance);
    const { goal, ended } = acceptance;
    if (ended) return delivery.ack();
    hold(accepted.goalId, goal.acceptedBy, delivery, goal.deadline);
    await begin(acceptance, accepted);
  }

  /** Sends what can start, and writes what did not go into the first transition. */
  async function begin(
    { goal, records, near, revisionsMax, revisions }: Begun,
    { goalId, tasks }: Accepted,
  ): Promise<void> {
    const atOnce = tasks.length <= AT_ONCE_MAX;
    if (atOnce) bear(goal, records, near, revisions);
    if (near) await sendNear(goalId, records);
    if (!atOnce) await materializer.run({ record: goal, revision: revisions[0] ?? 0 }, tasks, 0, revisionsMax);
  }

  /**
   * The second of two submissions of one id is to be ignored, and this one is: the record that it may have left, of which nobody has done anything yet,
   * becomes the first one's. The first one's receipt stays until the goal is over, whoever has it.
   */
  async function giveWay(delivery: Delivery, { earlier, revision }: Overtook): Promise<void> {
    if (revision === undefined || earlier === undefined) return later(delivery);
    const acceptance = await accept(earlier.receipt, earlier.accepted, { standing: revision });
    if (acceptance.status !== 'accepted') return later(delivery);
    delivery.ack();
    if (!acceptance.ended) await begin(acceptance, earlier.accepted);
  }

  function later(delivery: Delivery): void {
    delivery.retry(Math.min(RETRY_MS, OVERTAKEN_MS * 2 ** (delivery.deliveries - 1)));
  }

  /** What can start first comes first, with its items, unless those wait for the revisions of a small graph: it is worked on while the rest is written. */
  function birthWrites(ordered: readonly TaskRecord[], near: boolean): Write[] {
    const roots = near ? [] : ordered.filter((task) => task.status === 'ready');
    const write = (task: TaskRecord): Write => taskWrite(deps, task, CREATE);
    return [
      ...roots.map(write),
      ...roots.map((task) => itemWrite(deps, task)),
      ...ordered.slice(roots.length).map(write),
    ];
  }

  /** Remembers what was written, so that this process need not read it again. */
  function bear(
    goal: LiveGoal,
    ordered: readonly TaskRecord[],
    near: boolean,
    revisions: readonly (number | undefined)[],
  ): void {
    const roots = near ? 0 : ordered.filter((task) => task.status === 'ready').length;
    const tasks = ordered.flatMap((record, index) => {
      const revision = revisions[index < roots ? 1 + index : 1 + index + roots];
      return revision === undefined ? [] : [{ record, revision }];
    });
    memory.bear({ record: goal, revision: revisions[0] ?? 0 }, tasks);
  }

  /** Items that carry their whole graph; if this agent dies before them, the receipt comes round and the sweep sends them. */
  async function sendNear(goalId: string, ordered: readonly TaskRecord[]): Promise<void> {
    const known = memory.of(goalId);
    const chain = ordered.every((task) => task.dependencies.length <= 1 && task.dependents.length <= 1);
    const items = ordered.flatMap((task) => {
      const revision = known.born.get(task.taskId)?.revision;
      const near = nearOf(known, task, chain);
      const hint = revision === undefined || near === undefined ? undefined : { revision, results: {}, near };
      return task.status === 'ready' ? [itemWrite(deps, task, hint)] : [];
    });
    await deps.store.commit(items);
  }

  /** The goal exists: this receipt came round, or the id was used before. */
  async function again(delivery: Delivery, accepted: Accepted): Promise<void> {
    const goal = await readGoal(deps, accepted.goalId);
    if (goal === undefined) return delivery.retry(RETRY_MS);
    if (isTerminalGoal(goal.record)) return over(delivery, goal.record);
    // A later one left the record, and somebody may be about to make it this one's, whose receipt must then be there (I5).
    const { receipt } = goal.record;
    if (receipt > delivery.sequence) return later(delivery);
    if (receipt < delivery.sequence) return delivery.ack();
    // The first time round, and the record is there already: whoever had the later one gave way, and sees to the rest.
    if (delivery.deliveries === 1) return later(delivery);
    await resume(goal, goal.record, delivery, accepted);
    const after = await readGoal(deps, accepted.goalId);
    if (after !== undefined && isTerminalGoal(after.record)) return over(delivery, after.record);
    hold(accepted.goalId, goal.record.acceptedBy, delivery, goal.record.deadline);
  }

  function over(delivery: Delivery, goal: GoalRecord): void {
    delivery.ack();
    // Whoever accepted it missed the first word of its end.
    if ('receipt' in goal && goal.receipt === delivery.sequence) closing.announce(goal);
  }

  async function resume(
    goal: Versioned<GoalRecord>,
    record: LiveGoal,
    delivery: Delivery,
    accepted: Accepted,
  ): Promise<void> {
    const { stopping } = record;
    if (accepted.explicit && record.status === 'planning')
      return materializer.run(goal, accepted.tasks, 0, revisionsMaxOf(record, accepted.tasks, 0));
    const deep = delivery.deliveries === 2 || delivery.deliveries % DEEP_EVERY === 0;
    const due = deep || stopping !== undefined || delivery.deliveries <= COMPLETE_BIRTH_UNTIL;
    // Also for a goal that stops: it ends when all of its tasks are terminal, so all of them must exist (I5).
    if (due && accepted.tasks.length <= AT_ONCE_MAX)
      await completeBirth(record, firstRecords(accepted.tasks, factsOf(record)));
    if (stopping !== undefined) return closing.resume(record.goalId);
    await sweep.check(record.goalId, deep);
  }

  /** Whoever accepted it may have died between the goal's record and its tasks: what is missing is created. */
  async function completeBirth(goal: LiveGoal, records: readonly TaskRecord[]): Promise<void> {
    const ids = records.map((task) => task.taskId);
    const written = await readTasks(deps, goal.goalId, ids);
    const missing = records.filter((task) => !written.has(task.taskId));
    const outcomes = await Promise.all(missing.map((task) => deps.store.commit([taskWrite(deps, task, CREATE)])));
    const born = missing.filter((task, index) => task.status === 'ready' && outcomes[index]?.status === 'committed');
    if (born.length > 0) await deps.store.commit(born.map((task) => itemWrite(deps, task)));
  }

  return {
    held: () => receipts.size,
    ended(goalId) {
      const writing = accepting.get(goalId);
      if (writing !== undefined) writing.ended = true;
      receipts.get(goalId)?.delivery.ack();
      receipts.delete(goalId);
    },
    tick() {
      const now = deps.clock.now();
      for (const [goalId, { since }] of receipts) {
        if (now - since <= HELD_MS_MAX) return;
        receipts.delete(goalId);
      }
    },
    async take(delivery) {
      const submission = readSubmission(
        delivery.data,
        delivery.sequence,
        deps.subjects.capabilityOfShorthand(delivery.subject),
      );
      try {
        if (!submission.ok) await reject(delivery, submission);
        else if (delivery.deliveries > 1) await takeAgain(delivery, submission);
        else await acceptFirst(delivery, submission);
      } catch (error) {
        // Not acknowledged: it comes round again.
        deps.events.engineError('intake', error, submission.goalId === undefined ? {} : { goalId: submission.goalId });
      }
    },
  };

  async function takeAgain(delivery: Delivery, accepted: Accepted): Promise<void> {
    const goal = await readGoal(deps, accepted.goalId);
    await (goal === undefined ? acceptFirst(delivery, accepted) : again(delivery, accepted));
  }
}

function birthOrder(records: readonly TaskRecord[]): readonly TaskRecord[] {
  return [...records.filter((task) => task.status === 'ready'), ...records.filter((task) => task.status !== 'ready')];
}
