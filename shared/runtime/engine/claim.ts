/**
 * One worker's hold on one task. Work that ends at once commits on the revision that it found; work that takes longer, or touches anything outside,
 * claims the task first, and from then on only the claim's revision commits (I3).
 */
import { nextTask, type Claimant, type TaskEvent } from '../../core/task-machine.ts';
import { isTerminalTask, type TaskRecord } from '../../protocol/task.ts';
import type { Write } from '../../ports.ts';
import type { Deps } from './deps.ts';
import { lastStartOf, readTask, taskWrite, type Versioned } from './records.ts';

/** The task is not ours (any more). `standing` is what we saw last. */
export class ClaimLost extends Error {
  readonly refusal: 'done' | 'held' | 'stale' | 'illegal' | 'missing';
  readonly standing: TaskRecord | undefined;
  constructor(refusal: ClaimLost['refusal'], standing: TaskRecord | undefined) {
    super(`claim lost: ${refusal}`);
    this.refusal = refusal;
    this.standing = standing;
  }
}

export interface Written {
  readonly task: TaskRecord;
  /** Revisions of the writes that went along; undefined where one failed. */
  readonly along: readonly (number | undefined)[];
}

export interface Claim {
  readonly by: Claimant;
  current(): TaskRecord;
  isClaimed(): boolean;
  /** Claims the task now, once. Throws ClaimLost. */
  ensure(): Promise<void>;
  /** Writes what the event makes of the task, with `along` in the same transition. Throws ClaimLost. */
  write(event: TaskEvent, along?: (task: TaskRecord) => readonly Write[]): Promise<Written>;
  /** False when the record shows another holder. */
  stillOurs(): Promise<boolean>;
}

/** The record may be marked ready under our feet, once; more changes than this mean that somebody else works on the task. */
const RETRIES_MAX = 3;

export function claimOf(deps: Deps, found: Versioned<TaskRecord>, by: Claimant, redelivered: boolean): Claim {
  const { goalId, taskId } = found.record;
  let standing = found;
  let claiming: Promise<void> | undefined;
  let claimed = false;
  let ended = false;
  /** Writes of one holder follow each other: two on one revision would fence each other off. */
  let tail: Promise<unknown> = Promise.resolve();

  function inTurn<T>(run: () => Promise<T>): Promise<T> {
    const turn = tail.then(run, run);
    tail = turn.catch(() => undefined);
    return turn;
  }

  async function attempt(event: TaskEvent, along: (task: TaskRecord) => readonly Write[]): Promise<Written> {
    for (let tries = 0; ; tries += 1) {
      const step = nextTask(standing.record, event);
      if (!step.ok) throw new ClaimLost(step.refusal, standing.record);
      const outcome = await deps.store.commit([taskWrite(deps, step.task, standing.revision), ...along(step.task)]);
      deps.events.transition(step.transition, outcome.status, {
        goalId,
        taskId,
        attempt: step.task.attempt,
        correlationId: step.task.correlationId,
      });
      if (outcome.status === 'committed') {
        deps.events.taskMoved?.(standing.record, step.task, by.startedAt);
        if (isTerminalTask(step.task)) {
          const startedAt = step.transition === 'exhaust' ? lastStartOf(standing.record) : by.startedAt;
          deps.events.taskEnded(step.task, startedAt === undefined ? undefined : deps.clock.now() - startedAt);
        }
        const [revision, ...rest] = outcome.revisions;
        standing = { record: step.task, revision: revision ?? 0 };
        return { task: step.task, along: rest };
      }
      const now = await readTask(deps, goalId, taskId);
      // I3: a claimed task is committed at the claim's own revision or not at all.
      if (claimed || now === undefined || tries === RETRIES_MAX || !onlyMarked(found.record, now.record)) {
        throw new ClaimLost(now === undefined ? 'missing' : isTerminalTask(now.record) ? 'done' : 'stale', now?.record);
      }
      standing = now;
    }
  }

  const claim: Claim = {
    by,
    current: () => standing.record,
    isClaimed: () => claimed,
    ensure() {
      claiming ??= inTurn(async () => {
        if (claimed || ended) return;
        const { task } = await attempt({ type: 'claim', by, redelivered }, () => []);
        if (task.status !== 'in_progress') throw new ClaimLost('done', task);
        claimed = true;
      });
      return claiming;
    },
    write: (event, along = () => []) =>
      inTurn(async () => {
        const written = await attempt(event, along);
        if (written.task.status === 'in_progress') claimed = true;
        else ended = true;
        return written;
      }),
    async stillOurs() {
      const now = await readTask(deps, goalId, taskId);
      if (now === undefined) return false;
      const { record } = now;
      return !claimed || (record.status === 'in_progress' && record.agentId === by.agentId && record.item === by.item);
    },
  };
  return claim;
}

/** Nobody worked on the task between the two records: it only became visibly ready. */
function onlyMarked(before: TaskRecord, now: TaskRecord): boolean {
  return before.status === 'pending' && now.status === 'ready' && now.attempt === before.attempt;
}
