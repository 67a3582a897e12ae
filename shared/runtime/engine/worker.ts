/**
 * What an agent does with one work item: look, claim, work, commit, pass on, and only then acknowledge. A crash anywhere in between leads to a
 * redelivery that finds the work done, or resumes it.
 */
import { ASSIGNEE_GONE } from '../../core/peer.ts';
import { nextTask, type Claimant } from '../../core/task-machine.ts';
import { dependenciesDone } from '../../core/task-machine.ts';
import { parseTrusted } from '../../protocol/codec.ts';
import { isId, type Json, timestamp } from '../../protocol/ids.ts';
import type { ErrorInfo } from '../../protocol/goal.ts';
import { AUCTION_CAPABILITY } from '../../protocol/subjects.ts';
import { isTerminalTask, type EndedTask, type ReadyItem, type TaskRecord } from '../../protocol/task.ts';
import type { Delivery } from '../../ports.ts';
import { claimOf, ClaimLost } from './claim.ts';
import type { Closing } from './closing.ts';
import type { Deps } from './deps.ts';
import { directedOf } from './directed.ts';
import { HINT_AGE_MAX_MS } from './items.ts';
import type { Memory } from './memory.ts';
import type { Propagation } from './propagate.ts';
import { readMostlyEnded, readTask, taskWrite, type Versioned } from './records.ts';
import { type Attempt, type Attempts, Dropped, type Next } from './attempt.ts';

export interface Worker {
  /** Ends when the item is acknowledged, given back, or left to its lease. Never throws. */
  handle(delivery: Delivery, capability: string): Promise<void>;
  /** Tasks that take a slot: all but auctions. */
  running(): number;
  /** Everything that runs, as `<goalId>.<taskId>`. */
  runningTasks(): readonly string[];
  /** Looks at once whether running tasks of this goal are still wanted. */
  recheck(goalId: string): void;
  /** Extends leases and drops work that is not ours any more; call every third of a lease. */
  tick(): void;
  /** From now on every task ends with itself: no going on with the next one of its chain. */
  drain(): void;
  /** Gives every running task back. */
  abandon(): void;
}

interface Parts {
  readonly deps: Deps;
  readonly memory: Memory;
  readonly propagation: Propagation;
  readonly closing: Closing;
  readonly attempts: Attempts;
}

/** Goals whose items are not trusted, the latest; what is forgotten costs a lost attempt. */
const DOUBTED_MAX = 1_000;
/** An item for a task that is not written, or not startable, is looked at again this often before it is given up. */
const PREMATURE_MAX = 20;
const PREMATURE_MS = 500;
/** An item that comes for a task which ended meanwhile is looked at once more after this. */
const PASS_ON_AGAIN_MS = 1_000;
const LOOK_AGAIN_MS = 300;
const RECHECK_MS = 200;
const RECHECKS = 5;
/** Tasks of a chain that one item carries after its own: what a redelivery has to look through. */
const GO_ON_MAX = 16;

export function workerOf({ deps, memory, propagation, closing, attempts }: Parts): Worker {
  const directed = directedOf(deps);
  const running = new Set<Attempt>();
  const here = new Set<string>();
  /** Goals of which a task was found cancelled: what their items say of their tasks is likely to be past, and work on it to be lost. */
  const doubted = new Set<string>();
  let draining = false;

  function doubt(goalId: string): void {
    doubted.add(goalId);
    const [oldest] = doubted;
    if (doubted.size > DOUBTED_MAX && oldest !== undefined) doubted.delete(oldest);
  }

  function readItem(delivery: Delivery): ReadyItem | undefined {
    try {
      const item = parseTrusted<ReadyItem>(delivery.data);
      return isId(item.goalId) && isId(item.taskId) ? item : undefined;
    } catch {
      return undefined;
    }
  }

  async function discard(delivery: Delivery, reason: ErrorInfo): Promise<void> {
    const payload = Buffer.from(delivery.data).toString('base64');
    await deps.dead.put(
      { origin: 'ready', subject: delivery.subject, reason, payload, at: timestamp(deps.clock.now()) },
      `ready.${delivery.sequence}`,
    );
    deps.events.deadLetter('ready', reason.code, {});
    delivery.ack();
  }

  /** The hint when it can be trusted to be fresh, else the record. */
  async function look(
    delivery: Delivery,
    item: ReadyItem,
    capability: string,
  ): Promise<Versioned<TaskRecord> | undefined> {
    if (doubted.has(item.goalId)) return readTask(deps, item.goalId, item.taskId);
    const { task, revision } = item;
    const isFirst = delivery.deliveries === 1;
    const fits =
      task !== undefined &&
      task.goalId === item.goalId &&
      task.taskId === item.taskId &&
      task.capability === capability;
    // One that was born ready stays as it is until somebody begins it, or its goal ends.
    const lasts = task?.status === 'ready' || deps.clock.now() - delivery.storedAt <= HINT_AGE_MAX_MS;
    if (isFirst && fits && lasts && revision !== undefined) return { record: task, revision };
    const born = isFirst ? memory.of(item.goalId).born.get(item.taskId) : undefined;
    return born?.record.status === 'ready' ? born : readTask(deps, item.goalId, item.taskId);
  }

  /** Results of all dependencies, or undefined when one of them is not completed (I2: then the task must not start). */
  async function dependenciesOf(
    task: TaskRecord,
    hinted: Readonly<Record<string, Json>> | undefined,
  ): Promise<ReadonlyMap<string, Json> | undefined> {
    const known = memory.of(task.goalId);
    const found = new Map<string, Json>();
    for (const taskId of task.dependencies) {
      if (hinted !== undefined && Object.hasOwn(hinted, taskId)) found.set(taskId, hinted[taskId] ?? null);
      else if (known.results.has(taskId)) found.set(taskId, known.results.get(taskId) ?? null);
    }
    const missing = task.dependencies.filter((taskId) => !found.has(taskId));
    const read = await readMostlyEnded(deps, task.goalId, missing);
    for (const { record } of read.values()) if (record.status === 'completed') found.set(record.taskId, record.result);
    const statusOf = (taskId: string): TaskRecord['status'] | undefined =>
      found.has(taskId) ? 'completed' : read.get(taskId)?.record.status;
    return dependenciesDone(task, statusOf) ? found : undefined;
  }

  async function premature(delivery: Delivery, item: ReadyItem, why: string): Promise<void> {
    if (delivery.deliveries < PREMATURE_MAX) return delivery.retry(PREMATURE_MS);
    // Whoever completes what is missing sends a new item; this one can only spin.
    deps.events.engineError('item', new Error(why), { goalId: item.goalId, taskId: item.taskId });
    await discard(delivery, { code: 'premature_item', message: `${why}, and was not for ${PREMATURE_MAX} deliveries` });
  }

  async function passOn(task: EndedTask, delivery: Delivery): Promise<void> {
    // Whoever ended it may still be passing the news on, or fail to: acknowledged now, that would be the end of it.
    if (delivery.deliveries === 1 && task.status !== 'cancelled') return delivery.retry(PASS_ON_AGAIN_MS);
    let ended = task;
    for (let links = 0; links <= GO_ON_MAX; links += 1) {
      const next = await propagation.nextOf(ended);
      await propagation.afterEnd(ended, new Set(next === undefined ? [] : [next.record.taskId]));
      if (next === undefined) break;
      if (!isTerminalTask(next.record)) return takeUp(delivery, next, links + 1);
      ended = next.record;
    }
    delivery.ack();
  }

  /**
   * Whoever had this item went on with the next task of the chain on it, and did not end it; or is about to. One that still waits is not given an item of
   * its own: its claim on this one, ours or theirs, decides whose it is, and this one stays its lease.
   */
  async function takeUp(delivery: Delivery, found: Versioned<TaskRecord>, links: number): Promise<void> {
    const by: Claimant = { agentId: deps.agentId, startedAt: deps.clock.now(), item: delivery.sequence };
    const task = found.record;
    const lost = task.status === 'in_progress' && nextTask(task, { type: 'claim', by, redelivered: true }).ok;
    const failedBefore = task.status === 'ready' && task.attempt > 0;
    const waits = task.status === 'pending';
    const dependencies = lost || failedBefore || waits ? await dependenciesOf(task, undefined) : undefined;
    // Otherwise it has an item of its own.
    if (dependencies === undefined) return delivery.ack();
    await attempt(delivery, found, by, true, dependencies, links);
  }

  async function work(delivery: Delivery, capability: string): Promise<void> {
    const item = readItem(delivery);
    if (item === undefined)
      return discard(delivery, { code: 'invalid_item', message: 'expected a work item {goalId, taskId}' });
    if (item.near !== undefined && delivery.deliveries === 1) {
      memory.bear(item.near.goal, item.near.tasks);
      if (item.near.free) memory.of(item.goalId).free.add(item.taskId);
    }
    const found = await look(delivery, item, capability);
    if (found === undefined) return premature(delivery, item, 'its task is not written');
    const task = found.record;
    if (isTerminalTask(task)) return passOn(task, delivery);
    if (task.capability !== capability) return delivery.ack();
    const now = deps.clock.now();
    if (now >= Date.parse(task.deadline)) {
      await closing.stop(task.goalId, 'failed', {
        code: 'deadline_exceeded',
        message: 'the goal ran out of time (budget.wallMs) before this task could start',
      });
      return delivery.ack();
    }
    const by: Claimant = { agentId: deps.agentId, startedAt: now, item: delivery.sequence };
    const redelivered = delivery.deliveries > 1;
    if (task.status === 'in_progress') {
      const step = nextTask(task, { type: 'claim', by, redelivered });
      // Another item of the same task is being worked on. Its holder, or its redelivery, ends it.
      if (!step.ok) return delivery.retry(deps.leaseMs);
    }
    // The engine meant it for somebody else: from here on it is theirs, unless they cannot be reached.
    if (task.assignee !== undefined && task.assignee !== deps.agentId) {
      if ((await directed.pass(delivery, task, task.assignee)) === 'away') return;
      if (task.peer !== undefined) return announceAnew(delivery, found, task.assignee);
    }
    const dependencies = await dependenciesOf(task, item.results);
    if (dependencies === undefined) return premature(delivery, item, 'its dependencies are not completed');
    await attempt(delivery, found, by, redelivered, dependencies);
  }

  /** The agent that was awarded this work is gone: it is given up for somebody else to be found. One that comes back in time has the first word (I3). */
  async function announceAnew(delivery: Delivery, found: Versioned<TaskRecord>, assignee: string): Promise<void> {
    const error = { code: ASSIGNEE_GONE, message: `agent ${assignee}, which was awarded this work, cannot be reached` };
    const step = nextTask(found.record, { type: 'cancel', error, at: deps.clock.now() });
    if (!step.ok || !isTerminalTask(step.task)) return delivery.retry(LOOK_AGAIN_MS);
    const { status } = await deps.store.commit([taskWrite(deps, step.task, found.revision)]);
    const { goalId, taskId, correlationId } = step.task;
    deps.events.transition('cancel', status, { goalId, taskId, attempt: step.task.attempt, correlationId });
    if (status === 'conflict') return delivery.retry(LOOK_AGAIN_MS);
    await propagation.afterEnd(step.task, new Set());
    delivery.ack();
  }

  async function attempt(
    delivery: Delivery,
    found: Versioned<TaskRecord>,
    by: Claimant,
    redelivered: boolean,
    dependencies: ReadonlyMap<string, Json>,
    /** Tasks of its chain that the item has carried before. */
    before = 0,
  ): Promise<void> {
    if (delivery.deliveries === 1) deps.events.taskStarted(found.record, Math.max(0, by.startedAt - delivery.storedAt));
    let next = await attemptOne(delivery, found, by, redelivered, dependencies, before < GO_ON_MAX);
    for (let links = before + 1; next !== undefined; links += 1) {
      deps.events.taskStarted(next.task.record, 0);
      const again: Claimant = { ...by, startedAt: deps.clock.now() };
      next = await attemptOne(delivery, next.task, again, false, next.dependencies, links < GO_ON_MAX);
    }
  }

  async function attemptOne(
    delivery: Delivery,
    found: Versioned<TaskRecord>,
    by: Claimant,
    redelivered: boolean,
    dependencies: ReadonlyMap<string, Json>,
    mayGoOn: boolean,
  ): Promise<Next | undefined> {
    const key = `${found.record.goalId}.${found.record.taskId}`;
    // A second item of a task that this very process works on: its outcome is on its way.
    if (here.has(key)) {
      delivery.retry(deps.leaseMs);
      return undefined;
    }
    here.add(key);
    const claim = claimOf(deps, found, by, redelivered);
    const claimFirst = redelivered || found.record.status === 'in_progress';
    const one = attempts.start(delivery, claim, dependencies, claimFirst, () => mayGoOn && !draining);
    running.add(one);
    try {
      return await one.done;
    } finally {
      running.delete(one);
      here.delete(key);
    }
  }

  return {
    running: () => [...running].filter(({ capability }) => capability !== AUCTION_CAPABILITY).length,
    runningTasks: () => [...here],
    recheck(goalId) {
      // The cancel message and the records that follow from it travel apart; look a few times.
      const lookAgain = (left: number): void => {
        for (const one of running) if (one.goalId === goalId) one.recheck();
        if (left > 0) deps.clock.after(RECHECK_MS, () => lookAgain(left - 1));
      };
      lookAgain(RECHECKS);
    },
    tick() {
      for (const one of running) one.tick();
    },
    drain() {
      draining = true;
    },
    abandon() {
      draining = true;
      for (const one of running) one.abandon();
    },
    async handle(delivery, capability) {
      try {
        await work(delivery, capability);
      } catch (error) {
        if (error instanceof ClaimLost && error.standing !== undefined && isTerminalTask(error.standing)) {
          if (error.standing.status === 'cancelled') doubt(error.standing.goalId);
          await passOn(error.standing, delivery).catch((again: unknown) =>
            deps.events.engineError('worker', again, {}),
          );
        } else if (error instanceof ClaimLost || error instanceof Dropped) {
          // Ours no more. If nobody else has it, the item comes back to somebody after its lease.
        } else deps.events.engineError('worker', error, {});
      }
    },
  };
}
