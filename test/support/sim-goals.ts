/** Goals of the simulation: what their handlers do is written into the tasks' inputs, so that every right answer can be computed without an engine. */
import { createHash } from 'node:crypto';
import type { TaskSpec } from '../../shared/protocol/goal.ts';
import type { Step } from '../../shared/protocol/peer.ts';
import type { TaskRecord } from '../../shared/protocol/task.ts';

interface Call {
  readonly worst: number;
  readonly actual: number;
  /** The handler goes on before the answer comes, and never hears it. */
  readonly unawaited?: true;
}

/** What the handler of one task does. */
export interface Behaviour {
  /** How long it works, ms. */
  readonly ms: number;
  /** Attempts that fail before one succeeds. */
  readonly failTimes?: number;
  /** Fails for good. */
  readonly fatal?: boolean;
  /** How often what stands in for it in another plan fails for good too. */
  readonly again?: number;
  /** Model calls; each may cost `worst` and costs `actual`, in micro-dollars and tokens alike. */
  readonly calls?: readonly Call[];
  /** Only its first attempt makes them. */
  readonly callsOnce?: true;
  readonly sideEffect?: boolean;
  /** Characters of its result, to make it a blob. */
  readonly bulk?: number;
  /** What a planner answers: anything. */
  readonly plan?: unknown;
  /** The same, where it is a plan that revises the graph of its own goal. */
  readonly revises?: Later;
  /** How a peer-to-peer goal goes on from here. */
  readonly step?: Step;
}

/** Input of a peer-to-peer goal: what its n-th piece of work does, and what the parts do that are split off, by their number and that of the hop. */
export interface PeerScript {
  readonly works: readonly Behaviour[];
  readonly parts: readonly Behaviour[];
}

/** What the handler of this task does, by its input. */
export function behaviourOf({ taskId, peer }: TaskRecord, input: unknown): Behaviour {
  if (peer === undefined) return input as Behaviour;
  const { works, parts } = input as PeerScript;
  const number = Number(taskId.split('-').at(-1)) - 1;
  const own =
    peer.role === 'part' ? parts[(peer.hops + number) % parts.length] : works[Math.min(peer.hops, works.length - 1)];
  return own ?? { ms: 0 };
}

/** A plan that is made while its goal runs. */
export interface Later {
  readonly tasks: readonly Task[];
  readonly replaces: readonly string[];
  readonly source: 'model';
}

export type Task = Omit<TaskSpec, 'input'> & { readonly input: Behaviour };

export interface SimGoal {
  readonly goalId: string;
  readonly submission: Readonly<Record<string, unknown>>;
  /** When it is submitted, ms after the start; a second time means a second message with the same id. */
  readonly at: readonly number[];
  readonly cancelAt?: number;
  readonly fate: 'accepted' | 'rejected';
  /** The graph that must come to be: explicit or planned; the plan task itself is not in it. Undefined: the plan is no graph. */
  readonly tasks: readonly Task[] | undefined;
  readonly planned: boolean;
  /** Nobody plans it: what its graph becomes depends on who is there. */
  readonly peers?: PeerScript;
  readonly onTaskFailure: 'fail' | 'continue';
  readonly usd: number | undefined;
  /** Nothing that the goal itself asks for keeps it from being completed, given attempts enough. */
  readonly mayComplete: boolean;
  /** The same where nothing else goes wrong: no attempt is lost to the weather. */
  readonly mayCompleteCalmly: boolean;
}

/** What the graph must be in the end: `tasks` that count, in an order in which they can run. */
export interface FinalGraph {
  readonly tasks: readonly Task[];
  readonly replaced: ReadonlySet<string>;
  /** Tasks whose end became a revision. */
  readonly causes: ReadonlySet<string>;
  /** All that were ever in it, the first plan task left out. */
  readonly total: number;
}

/** Every revision that the tasks ask for, one after the other. Those that were drawn do not contradict each other. */
export function finalGraph(first: readonly Task[]): FinalGraph {
  const tasks = [...first];
  const replaced = new Set<string>();
  const causes = new Set<string>();
  // The list grows while it is walked: a plan may bring a task that plans again.
  for (const { taskId, input } of tasks) {
    if (input.revises === undefined) continue;
    causes.add(taskId);
    tasks.push(...input.revises.tasks);
    for (const id of input.revises.replaces) replaced.add(id);
  }
  return { tasks: tasks.filter(({ taskId }) => !replaced.has(taskId)), replaced, causes, total: tasks.length };
}

export const MICRO = 1e-6;
export const CAPABILITIES = ['a', 'b'] as const;
export const VOTERS = 'voter';

/** The one right result of a task, given those of its dependencies. */
export function resultOf(
  taskId: string,
  bulk: number | undefined,
  dependencies: Readonly<Record<string, unknown>>,
  failures: readonly string[] = [],
): unknown {
  const missing = failures.map((lost): [string, unknown] => [lost, 'failed']);
  const sorted = [...Object.entries(dependencies), ...missing].toSorted(([one], [other]) => (one < other ? -1 : 1));
  const of = createHash('sha256').update(JSON.stringify(sorted)).digest('hex').slice(0, 12);
  return { by: taskId, of, ...(bulk === undefined ? {} : { bulk: 'x'.repeat(bulk) }) };
}

/**
 * What a planner answers that is asked for another plan: one task behind all that is finished and one that is under way, or behind nothing, which may
 * fail again, and sometimes one behind that.
 */
export function planAnew(
  taskId: string,
  failed: readonly Behaviour[],
  finished: readonly string[],
  running: readonly string[],
): { readonly tasks: readonly Task[]; readonly source: 'model' } {
  // Those that failed before count too: the latest is the one that was to fail least often after it.
  const again = Math.min(...failed.map((each) => each.again ?? 0)) - 1;
  const common = { capability: 'a', description: 'another way', maxAttempts: 12 };
  const input = { ms: 5, ...(again >= 0 ? { fatal: true, again } : {}) };
  // What is under way may have failed by the time that this plan is made.
  const behind = finished.length % 3 === 2 ? [] : [...finished, ...running.slice(0, 1)];
  const first = { ...common, taskId: `${taskId}-1`, dependencies: behind, input };
  const second = { ...common, taskId: `${taskId}-2`, dependencies: [first.taskId], input: { ms: 0 } };
  return { tasks: finished.length % 2 === 0 ? [first] : [first, second], source: 'model' };
}
