/** One attempt at a task: run the handler within its limits, put the result before its voters if the task says so, commit, pass on, acknowledge. */
import type { ErrorInfo } from '../../protocol/goal.ts';
import { type EndedTask, isTerminalTask, NO_COST, type TaskCost, type TaskRecord } from '../../protocol/task.ts';
import { addCost } from '../../core/task-machine.ts';
import type { Delivery } from '../../ports.ts';
import type { Json } from '../../protocol/ids.ts';
import type { Step } from '../../protocol/peer.ts';
import { GOAL_OVER, HandlerError } from '../context.ts';
import type { Claim } from './claim.ts';
import type { Deps } from './deps.ts';
import type { Ahead, Propagation, Together } from './propagate.ts';
import { GOAL_ENDED } from './propagate.ts';
import type { Closing } from './closing.ts';
import type { Memory } from './memory.ts';
import type { Proposed, Reviewed } from './review.ts';
import type { readyMarks } from './items.ts';
import type { Versioned } from './records.ts';
import { BlobUnusable, resolved, resultToStore } from './values.ts';

/** Why work was thrown away without a record of its own. */
export class Dropped extends Error {}

/** Runs the capability's handler on resolved values and returns its checked output. Throws HandlerError. */
export type RunHandler = (call: {
  readonly task: TaskRecord;
  readonly attempt: number;
  readonly input: unknown;
  readonly dependencies: Readonly<Record<string, Json>>;
  readonly signal: AbortSignal;
  /** Must be awaited before anything outside is touched. */
  readonly beforeSideEffect: () => Promise<void>;
  readonly onCost: (cost: TaskCost) => void;
  /** How its peer-to-peer goal goes on from this result. */
  readonly onStep: (step: Step) => void;
}) => Promise<unknown>;

/** The next task of a chain, whose only dependency just completed here. */
export interface Next {
  readonly task: Versioned<TaskRecord>;
  readonly dependencies: ReadonlyMap<string, Json>;
}

export interface Attempt {
  readonly goalId: string;
  readonly capability: string;
  /** With a next task the item is not acknowledged: it is that task's lease from now on. */
  readonly done: Promise<Next | undefined>;
  tick(): void;
  recheck(): void;
  abandon(): void;
}

export interface Attempts {
  /** `goesOn`: the agent may go on with the task that waits for this one. */
  start(
    delivery: Delivery,
    claim: Claim,
    dependencies: ReadonlyMap<string, Json>,
    claimFirst: boolean,
    goesOn: () => boolean,
  ): Attempt;
}

interface Parts {
  readonly deps: Deps;
  readonly memory: Memory;
  readonly propagation: Propagation;
  readonly closing: Closing;
  readonly marks: ReturnType<typeof readyMarks>;
  readonly runHandler: RunHandler;
  readonly review: (
    task: TaskRecord,
    proposed: Proposed,
    dependencies: Readonly<Record<string, Json>>,
    signal: AbortSignal,
  ) => Promise<Reviewed>;
  readonly onProgress: (goalId: string, status: 'completed' | 'failed' | 'cancelled') => void;
}

/** Work that lasts longer than this is worth a record of its own: it becomes visible as `in_progress`. */
const CLAIM_AFTER_MS = 25;
const BACKOFF_MS_MIN = 250;
const BACKOFF_MS_MAX = 30_000;
const GONE = 'not ours any more';
/** The reason that `taskDropped` gives when the agent stops. */
export const SHUTDOWN = 'shutting down';

export function attemptsOf(parts: Parts): Attempts {
  const { deps, propagation, memory } = parts;

  /** Full jitter over a doubling window: agents that failed together must not come back together. */
  function backoff(attempt: number, askedMs: number | undefined): number {
    const window = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** Math.min(attempt, 10));
    return Math.max(askedMs ?? 0, Math.round(window / 2 + (deps.random() * window) / 2));
  }

  function start(
    delivery: Delivery,
    claim: Claim,
    dependencies: ReadonlyMap<string, Json>,
    claimFirst: boolean,
    goesOn: () => boolean,
  ): Attempt {
    const abort = new AbortController();
    const task = claim.current();
    let cost: TaskCost = NO_COST;
    /** Set once the outcome is being written: from then on the lease must not be questioned any more. */
    let committing = false;

    const cancelTimers: (() => void)[] = [];
    const after = (ms: number, then: () => void): void => void cancelTimers.push(deps.clock.after(ms, then));

    const stopTimers = (): void => {
      for (const cancel of cancelTimers) cancel();
    };

    async function run(): Promise<Next | undefined> {
      if (claimFirst || task.vote !== undefined) await claim.ensure();
      else after(CLAIM_AFTER_MS, () => void claim.ensure().catch(() => abort.abort(GONE)));
      const ahead = propagation.readAhead(task);
      // Awaited only at the end; until then nobody would hear of its failure.
      ahead.catch(() => undefined);
      const values = await resolveAll(dependencies);
      for (;;) {
        const made = candidateOf(claim.current()) ?? (await handler(values));
        const current = claim.current();
        // Only what is to be the goal's answer is voted on; what is handed on is judged when the goal is met.
        const isPassedOn = made.step !== undefined && made.step.kind !== 'answer';
        const approved = current.vote === undefined || isPassedOn ? made : await voted(current, made, values);
        if (approved !== undefined) return complete(approved, await ahead);
        // Sent back with reasons: the handler works again, on the same claim.
      }
    }

    async function resolveAll(from: ReadonlyMap<string, Json>): Promise<Record<string, Json>> {
      const entries = await Promise.all(
        [...from].map(async ([taskId, value]): Promise<[string, Json]> => [taskId, await resolved(deps, value)]),
      );
      return Object.fromEntries(entries);
    }

    /** A handler that does not heed its signal must not keep the slot. */
    function aborted(): Promise<never> {
      return new Promise((_resolve, reject) => {
        const give = (): void =>
          reject(
            abort.signal.reason instanceof HandlerError
              ? abort.signal.reason
              : new Dropped(String(abort.signal.reason)),
          );
        if (abort.signal.aborted) give();
        else abort.signal.addEventListener('abort', give, { once: true });
      });
    }

    /** Ends the attempt after this time, and at the goal's deadline at the latest. Returns how to call that off. */
    function limit(ms: number): () => void {
      const left = Date.parse(task.deadline) - deps.clock.now();
      return deps.clock.after(Math.max(1, Math.min(ms, left)), () => abort.abort(left < ms ? late() : timeout(task)));
    }

    async function handler(values: Readonly<Record<string, Json>>): Promise<Made> {
      let step: Step | undefined;
      const current = claim.current();
      const call = {
        task: current,
        attempt: current.status === 'in_progress' ? current.attempt : current.attempt + 1,
        input: await resolved(deps, current.input),
        dependencies: values,
        signal: abort.signal,
        beforeSideEffect: () => claim.ensure(),
        onCost: (more: TaskCost) => {
          cost = addCost(cost, more);
        },
        onStep: (next: Step) => {
          step = next;
        },
      };
      // Of the handler's own time: its voters have as much again, and a round that this cut short would never end, nor learn who was silent.
      const stop = limit(task.timeoutMs);
      const output = await Promise.race([parts.runHandler(call), aborted()]).finally(stop);
      const { goal } = memory.of(current.goalId);
      // Also that of the goal, which may end in the same transition.
      const beside = goal === undefined ? [current] : [current, goal.record];
      return { result: await resultToStore(deps, output, beside), step };
    }

    /** What was made, as its voters approved it; undefined: it was sent back. */
    async function voted(
      current: TaskRecord,
      made: Made,
      values: Readonly<Record<string, Json>>,
    ): Promise<Made | undefined> {
      const fresh = candidateOf(current) === undefined;
      if (fresh) {
        // The result is kept before anybody votes on it: whoever takes over votes on it instead of working again.
        await claim.write({ type: 'propose', by: claim.by, ...fieldsOf(made), salt: deps.salt(), cost });
        cost = NO_COST;
      }
      const stop = limit(Number.POSITIVE_INFINITY);
      const { verdict, messages, bytes } = await Promise.race([
        parts.review(claim.current(), { result: made.result, fresh }, values, abort.signal),
        aborted(),
      ]).finally(stop);
      cost = addCost(cost, { ...NO_COST, messages, bytes });
      if (verdict.kind === 'approved') {
        if (made.step === undefined) return made;
        return { ...made, step: { kind: 'answer', approval: verdict.unvoted === true ? 'nobody_to_vote' : 'vote' } };
      }
      if (verdict.kind === 'undecided') {
        throw new HandlerError(
          'no_consensus',
          `expected the voters (${current.vote?.capability ?? ''}) to decide; the round ended with ${verdict.reason}`,
        );
      }
      const { task: sentBack } = await claim.write({
        type: 'reject',
        by: claim.by,
        reasons: verdict.reasons,
        at: deps.clock.now(),
      });
      const over = isTerminalTask(sentBack);
      deps.events.attemptFailed(sentBack, 'rejected_by_vote', verdict.reasons.join('; '), over ? undefined : 0);
      if (over) throw new Ended(sentBack);
      return undefined;
    }

    async function complete(made: Made, ahead: Ahead): Promise<Next | undefined> {
      stopTimers();
      committing = true;
      const at = deps.clock.now();
      let released: Together['released'] = [];
      let next: Together['next'];
      const commit = claim.write({ type: 'complete', by: claim.by, ...fieldsOf(made), cost, at }, (completed) => {
        if (completed.status !== 'completed') return [];
        const together = propagation.together(completed, ahead, goesOn());
        ({ released, next } = together);
        return together.writes;
      });
      const written = await propagation.gathering(task.goalId, commit);
      const done = new Set<string>();
      for (const [index, each] of released.entries()) {
        const revision = written.along[index];
        if (revision === undefined) continue;
        if ('record' in each) {
          done.add(each.record.taskId);
          parts.marks.released(each, revision);
        } else {
          done.add(GOAL_ENDED);
          deps.events.transition('goal.finish', 'committed', {
            goalId: each.goalId,
            correlationId: each.correlationId,
          });
          deps.events.goalEnded(each);
          parts.closing.announce(each);
        }
      }
      const ended = written.task;
      if (!isTerminalTask(ended)) return undefined;
      if (next === undefined || ended.status !== 'completed') return end(ended, done, ahead);
      done.add(next.record.taskId);
      await pass(ended, done, ahead);
      propagation.goOn(ended, next.record);
      return { task: next, dependencies: new Map([[ended.taskId, ended.result]]) };
    }

    /** Terminal in the record; now the rest of the goal, then the acknowledgement. */
    async function end(ended: EndedTask, done: ReadonlySet<string>, ahead?: Ahead): Promise<undefined> {
      await pass(ended, done, ahead);
      delivery.ack();
    }

    async function pass(ended: EndedTask, done: ReadonlySet<string>, ahead?: Ahead): Promise<void> {
      committing = true;
      parts.onProgress(ended.goalId, ended.status);
      if (ended.status === 'completed' && !done.has(GOAL_ENDED)) memory.remember(ended);
      await propagation.afterEnd(ended, done, ahead);
    }

    async function fail(error: HandlerError): Promise<undefined> {
      committing = true;
      const reason: ErrorInfo = { code: error.code, message: error.message.slice(0, 4_000) };
      const { task: next } = await claim.write({
        type: 'fail',
        by: claim.by,
        error: reason,
        final: !error.retry,
        cost,
        at: deps.clock.now(),
      });
      const delayMs = isTerminalTask(next) ? undefined : backoff(next.attempt, error.retryAfterMs);
      deps.events.attemptFailed(next, reason.code, reason.message, delayMs);
      if (isTerminalTask(next)) return end(next, new Set());
      delivery.retry(delayMs ?? 0);
      return undefined;
    }

    async function settle(): Promise<Next | undefined> {
      try {
        return await run();
      } catch (error) {
        if (error instanceof Ended) return await end(error.task, new Set());
        // The goal's record says what became of it; a failure of this task would say something else.
        const over = error instanceof HandlerError && error.code === GOAL_OVER;
        if (error instanceof HandlerError && !over) return await fail(error);
        // Whoever submitted the goal named it: a redelivery would not find it either, for as long as the goal lives (I10).
        if (error instanceof BlobUnusable) return await fail(new HandlerError(error.code, error.message));
        if (over || error instanceof Dropped) {
          deps.events.taskDropped(task, error.message);
          // Given back at once on shutdown; otherwise it belongs to somebody else.
          if (error.message === SHUTDOWN) delivery.retry(0);
          return undefined;
        }
        throw error;
      } finally {
        stopTimers();
      }
    }

    function recheck(): void {
      if (committing || abort.signal.aborted || !claim.isClaimed()) return;
      // A look that fails says nothing; the next tick looks again.
      void claim
        .stillOurs()
        .catch(() => true)
        .then((ours) => !ours && !committing && abort.abort(GONE));
    }

    return {
      goalId: task.goalId,
      capability: task.capability,
      done: settle(),
      recheck,
      tick() {
        if (!abort.signal.aborted) delivery.extend();
        recheck();
      },
      abandon() {
        if (!committing) abort.abort(SHUTDOWN);
      },
    };
  }

  return { start };
}

function timeout({ timeoutMs }: TaskRecord): HandlerError {
  return new HandlerError('timeout', `expected a result within ${timeoutMs} ms (timeoutMs)`);
}

function late(): HandlerError {
  return new HandlerError('deadline_exceeded', 'the goal ran out of time (budget.wallMs)', { retry: false });
}

class Ended extends Error {
  readonly task: EndedTask;
  constructor(task: EndedTask) {
    super('ended');
    this.task = task;
  }
}

/** A result that waits for its voters, from this attempt or from the holder before. */
function candidateOf(task: TaskRecord): Made | undefined {
  const candidate = task.status === 'in_progress' ? task.candidate : undefined;
  return candidate === undefined ? undefined : { result: candidate.result, step: candidate.step };
}

/** A result, and how its peer-to-peer goal goes on from it. */
interface Made {
  readonly result: Json;
  readonly step: Step | undefined;
}

function fieldsOf({ result, step }: Made) {
  return { result, ...(step === undefined ? {} : { step }) };
}
