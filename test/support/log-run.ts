/**
 * A made-up goal as it would pass through a mesh: every step by the real machines, in the order in which it happened, and the log that a broker would
 * have kept of it, in which revisions arrive later than messages do.
 */
import { newGoal, nextGoal, NOTHING_SPENT } from '../../shared/core/goal-machine.ts';
import type { LogEntry } from '../../shared/core/log-entry.ts';
import { nextTask, type TaskEvent } from '../../shared/core/task-machine.ts';
import { GoalSubmission, type GoalRecord } from '../../shared/protocol/goal.ts';
import { isTerminalTask, NO_COST, type TaskRecord } from '../../shared/protocol/task.ts';
import type { Ballot } from '../../shared/protocol/vote.ts';

/** `causes`: indices of steps that must stand before it, whatever the log's order. */
export interface Happened {
  readonly entry: LogEntry;
  readonly causes: readonly number[];
}

const START = Date.UTC(2030, 0, 1);
const AGENTS = ['ann', 'bob', 'cid'];
const GOAL = 'g';

type Draft = LogEntry extends infer E ? (E extends LogEntry ? Omit<E, 'sequence' | 'at'> : never) : never;

/** What happened, in its order. `random`: uniform in [0, 1). */
export function goalRun(random: () => number, tasks: number): readonly Happened[] {
  const happened: Happened[] = [];
  let revision = 0;
  let now = START;
  const pick = <T>(from: readonly T[]): T => {
    const value = from[Math.floor(random() * from.length)];
    if (value === undefined) throw new Error('nothing to pick from');
    return value;
  };
  const add = (draft: Draft, ...causes: number[]): number => {
    now += Math.floor(random() * 5);
    happened.push({ entry: { ...draft, sequence: 0, at: now }, causes });
    return happened.length - 1;
  };

  const last = new Map<string, number>();
  const revise = (key: string): { readonly revision: number; readonly replaces: number; readonly subject: string } => {
    // The stream holds items of work too: revisions are not consecutive.
    revision += 1 + Math.floor(random() * 3);
    const replaces = last.get(key) ?? 0;
    last.set(key, revision);
    return { revision, replaces, subject: `$KV.m_dag.${key}` };
  };

  let goal: GoalRecord = newGoal(
    GoalSubmission.parse({ goalId: GOAL, description: 'x' }),
    {
      goalId: GOAL,
      receipt: 1,
      acceptedBy: 'ann',
      correlationId: GOAL,
      now: START,
      deadline: START + 1e9,
      total: tasks,
      sinks: [],
      predicted: 0,
    },
    'running',
  );
  const accepted = add({ kind: 'goal', change: 'accept', record: goal, ...revise('goal.g') });

  /** One task from its creation to its end; pauses between steps, so that tasks interleave. */
  function* life(taskId: string): Generator<undefined, TaskRecord, undefined> {
    const voted = random() < 0.5;
    let task: TaskRecord = {
      goalId: GOAL,
      taskId,
      capability: 'echo',
      description: '',
      attempt: 0,
      dependencies: random() < 0.5 ? [] : ['other'],
      cost: NO_COST,
      correlationId: GOAL,
      createdAt: '2030-01-01T00:00:00.000Z',
      dependents: [],
      maxAttempts: 3,
      timeoutMs: 1_000,
      deadline: '2030-01-02T00:00:00.000Z',
      status: 'ready',
      ...(voted
        ? { vote: { capability: 'review', rule: { method: 'majority' }, onReject: 'rework', maxReworks: 2 } }
        : {}),
    };
    if (task.dependencies.length > 0) task = { ...task, status: 'pending' };
    const key = `task.${GOAL}.${taskId}`;
    const write = (): number => add({ kind: 'task', change: undefined, record: task, ...revise(key) }, accepted);
    const does = (event: TaskEvent): number => {
      const step = nextTask(task, event);
      if (!step.ok) throw new Error(step.message);
      task = step.task;
      return write();
    };
    write();
    yield;
    if (task.status === 'pending' && random() < 0.3) does({ type: 'release' });
    let item = 10;
    let rounds = 0;
    let firstClaim: number | undefined;
    // The compiler does not see that `does` changes the task.
    const status = (): TaskRecord['status'] => task.status;
    while (!isTerminalTask(task)) {
      yield;
      item += 1;
      let by = { agentId: pick(AGENTS), startedAt: now, item };
      if (!voted && random() < 0.3) {
        // Work that ends at once is never claimed.
        does(
          random() < 0.7
            ? { type: 'complete', by, result: 1, cost: NO_COST, at: now }
            : { type: 'fail', by, error: { code: 'e', message: 'm' }, final: false, cost: NO_COST, at: now },
        );
        continue;
      }
      const claimed = does({ type: 'claim', by, redelivered: false });
      firstClaim ??= claimed;
      yield;
      if (random() < 0.4) {
        const message = {
          id: `${taskId}-${item}`,
          sender: by.agentId,
          receiver: 'review',
          messageType: 'ask',
          content: 1,
          timestamp: '2030-01-01T00:00:00.000Z',
          correlationId: GOAL,
          goalId: GOAL,
          taskId,
          hops: 0,
        };
        add({ kind: 'message', subject: 'm.msg.a.b.ask', record: message }, accepted, firstClaim);
      }
      yield;
      const fate = random();
      if (fate < 0.15 && task.attempt < task.maxAttempts) {
        by = { ...by, agentId: pick(AGENTS) };
        does({ type: 'claim', by, redelivered: true });
        yield;
      } else if (fate < 0.3) {
        does({ type: 'fail', by, error: { code: 'e', message: 'm' }, final: random() < 0.2, cost: NO_COST, at: now });
        continue;
      } else if (fate < 0.35) {
        does({ type: 'cancel', at: now });
        continue;
      }
      for (let approved = !voted; !approved && status() === 'in_progress'; ) {
        const proposed = does({ type: 'propose', by, result: 1, salt: 'salt', cost: NO_COST });
        yield;
        rounds += 1;
        approved = random() < 0.6;
        yield* round(`v-${taskId}-${rounds}`, taskId, approved, proposed);
        if (!approved) does({ type: 'reject', by, reasons: ['no'], at: now });
      }
      if (status() === 'in_progress') does({ type: 'complete', by, result: 1, cost: NO_COST, at: now });
    }
    return task;
  }

  function* round(
    roundId: string,
    taskId: string,
    approves: boolean,
    proposed: number,
  ): Generator<undefined, void, undefined> {
    const roster = ['v1', 'v2', 'v3'];
    const common = {
      roundId,
      goalId: GOAL,
      taskId,
      proposal: 'p',
      options: ['approve', 'reject'],
      correlationId: GOAL,
    };
    const rule = { method: 'majority' as const };
    const deadline = '2030-01-02T00:00:00.000Z';
    const request = add(
      { kind: 'vote', subject: 'm.vote.review', record: { ...common, rule, roster, deadline } },
      proposed,
    );
    yield;
    const ballots: Ballot[] = [];
    const cast: number[] = [];
    const late = random() < 0.3;
    for (const agent of roster) {
      const position = approves ? 'approve' : 'reject';
      const ballot = { roundId, agent, position, timestamp: '2030-01-01T00:00:00.000Z' };
      if (agent === 'v3' && late) continue;
      cast.push(add({ kind: 'ballot', subject: `m.ballot.${roundId}.${agent}`, record: ballot }, request));
      ballots.push(ballot);
      yield;
    }
    const decided = {
      ...common,
      rule,
      roster,
      ballots,
      consensus: true,
      position: approves ? 'approve' : 'reject',
      votes: ballots.length,
      openedAt: '2030-01-01T00:00:00.000Z',
      decidedAt: '2030-01-01T00:00:00.000Z',
    };
    add({ kind: 'round', record: decided, ...revise(`round.${roundId}`) }, ...cast);
    yield;
    if (!late) return;
    const ballot = { roundId, agent: 'v3', position: 'reject', timestamp: '2030-01-01T00:00:00.000Z' };
    add({ kind: 'ballot', subject: `m.ballot.${roundId}.v3`, record: ballot }, request);
  }

  const ended: TaskRecord[] = [];
  let lives = Array.from({ length: tasks }, (_, at) => life(`t${at}`));
  while (lives.length > 0) {
    const one = pick(lives);
    const step = one.next();
    if (step.done !== true) continue;
    ended.push(step.value);
    lives = lives.filter((each) => each !== one);
  }
  const count = (status: TaskRecord['status']): number => ended.filter((task) => task.status === status).length;
  const counts = {
    total: tasks,
    completed: count('completed'),
    failed: count('failed'),
    cancelled: count('cancelled'),
  };
  const step = nextGoal(goal, { type: 'finish', counts, result: undefined, spending: NOTHING_SPENT, at: now });
  if (!step.ok) throw new Error(step.message);
  goal = step.goal;
  add({ kind: 'goal', change: 'finish', record: goal, ...revise('goal.g') });
  return happened;
}

/** The log of it: messages are captured at once, revisions keep their order and come when the broker gets to them. Indices into `happened`. */
export function asLogged(happened: readonly Happened[], random: () => number): readonly number[] {
  const logged: number[] = [];
  const waiting: number[] = [];
  for (const [index, { entry }] of happened.entries()) {
    if ('revision' in entry) waiting.push(index);
    else logged.push(index);
    while (waiting.length > 0 && random() < 0.4) logged.push(waiting.shift() ?? 0);
  }
  return [...logged, ...waiting];
}

/** Uniform in [0, 1), the same for the same seed. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    const mixed = Math.imul(state ^ (state >>> 13), 0x297a2d39) >>> 0;
    return ((mixed ^ (mixed >>> 16)) >>> 0) / 2 ** 32;
  };
}
