/** Goals drawn at random, with what their handlers do written into the tasks' inputs, so that every right answer can be computed without an engine. */
import { createHash } from 'node:crypto';
import type { TaskSpec } from '../../shared/protocol/goal.ts';
import type { Step } from '../../shared/protocol/peer.ts';
import { PLAN_CAPABILITY } from '../../shared/protocol/subjects.ts';
import type { Dice } from './sim-dice.ts';

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
  readonly calls?: readonly { readonly worst: number; readonly actual: number }[];
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

/** Input of a peer-to-peer goal: what its n-th piece of work does, and what every part does that is split off. */
export interface PeerScript {
  readonly works: readonly Behaviour[];
  readonly part: Behaviour;
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

type Edges = readonly (readonly number[])[];

/** Dependencies of each task, by index. */
function shape(dice: Dice, large: boolean): Edges {
  const count = large ? dice.int(201, 260) : dice.int(1, 7);
  const indices = Array.from({ length: count }, (_, index) => index);
  const last = count - 1;
  switch (large ? 'fan' : dice.pick(['chain', 'fan', 'join', 'diamond', 'random', 'random'])) {
    case 'chain':
      return indices.map((index) => (index === 0 ? [] : [index - 1]));
    case 'fan':
      return indices.map((index) => (index === 0 ? [] : [0]));
    case 'join':
      return indices.map((index) => (index === last ? indices.slice(0, last) : []));
    case 'diamond':
      return indices.map((index) =>
        index === 0 ? [] : index === last ? indices.slice(last === 1 ? 0 : 1, last) : [0],
      );
    default:
      return indices.map((index) => indices.slice(0, index).filter(() => dice.chance(0.4)));
  }
}

function behaviour(dice: Dice, calm: boolean): Behaviour {
  const ms = dice.chance(0.4) ? 0 : dice.chance(0.9) ? dice.int(1, 400) : dice.int(400, 9_000);
  const calls = Array.from({ length: dice.chance(0.3) ? dice.int(1, 2) : 0 }, () => {
    const worst = dice.int(1, 40);
    return { worst, actual: dice.int(0, worst) };
  });
  return {
    ms,
    ...(dice.chance(calm ? 0 : 0.15) ? { failTimes: dice.int(1, 3) } : {}),
    ...(dice.chance(calm ? 0 : 0.05) ? { fatal: true } : {}),
    ...(calls.length === 0 ? {} : { calls }),
    ...(dice.chance(0.3) ? { sideEffect: true } : {}),
    ...(dice.chance(0.003) ? { bulk: 530_000 } : {}),
  };
}

function tasksOf(dice: Dice, calm: boolean, large: boolean): Task[] {
  return shape(dice, large).map((dependencies, index) => {
    const vote = {
      capability: VOTERS,
      rule: { method: 'majority' as const },
      onReject: dice.pick(['rework', 'fail'] as const),
      maxReworks: dice.int(0, 2),
    };
    return {
      taskId: `t${index}`,
      capability: dice.pick(CAPABILITIES),
      description: `step ${index}`,
      dependencies: dependencies.map((dependency) => `t${dependency}`),
      input: large ? { ms: 0 } : behaviour(dice, calm),
      maxAttempts: calm ? 100 : dice.chance(0.6) ? 12 : dice.int(1, 4),
      ...(dice.chance(calm ? 0 : 0.1) ? { timeoutMs: dice.int(1, 2_000) } : {}),
      ...(!calm && !large && dice.chance(0.12) ? { vote } : {}),
    };
  });
}

const REVISIONS_DEEP = 3;
/** One more, for the sibling. */
const REVISIONS_MAX = REVISIONS_DEEP + 1;

/** Everything that waits for these, directly or not, and they themselves. */
function withDependents(tasks: readonly Task[], chosen: ReadonlySet<string>): Set<string> {
  const all = new Set(chosen);
  for (const { taskId, dependencies } of tasks) if (dependencies.some((id) => all.has(id))) all.add(taskId);
  return all;
}

/**
 * The graph with a task in it that plans anew: it replaces some of the tasks behind it (`safe`: none of them can have begun), or any others that it does
 * not wait for, and adds some, which wait for what was there and for each other. Sometimes one of the new ones plans once more.
 */
function withRevision(dice: Dice, tasks: readonly Task[], safe: boolean, depth = 1): Task[] {
  const name = `re${depth}`;
  const before = tasks.slice(0, dice.int(0, tasks.length - 1));
  const waitsFor = before.filter(() => dice.chance(0.4)).map(({ taskId }) => taskId);
  const behind = tasks
    .slice(before.length)
    .map((task) => (dice.chance(safe ? 0.6 : 0.3) ? { ...task, dependencies: [...task.dependencies, name] } : task));
  const rest = [...before, ...behind];
  const ancestors = ancestorsOf(rest, waitsFor);
  const from = safe ? behind.filter(({ dependencies }) => dependencies.includes(name)) : rest;
  const chosen = from.filter(({ taskId, input }) => {
    return !ancestors.has(taskId) && input.revises === undefined && dice.chance(0.5);
  });
  const replaces = withDependents(rest, new Set(chosen.map(({ taskId }) => taskId)));
  const kept = rest.filter(({ taskId }) => !replaces.has(taskId));
  const fresh: Task[] = [];
  for (let index = dice.int(1, 3); index > 0; index -= 1) {
    const [task] = tasksOf(dice, true, false);
    if (task === undefined) continue;
    const dependencies = [...kept, ...fresh].filter(() => dice.chance(0.4)).map(({ taskId }) => taskId);
    fresh.push({ ...task, taskId: `n${depth}-${index}`, dependencies });
  }
  const later = depth < REVISIONS_DEEP && dice.chance(0.3) ? withRevision(dice, fresh, safe, depth + 1) : fresh;
  const input = { ms: dice.int(0, 300), revises: { tasks: later, replaces: [...replaces], source: 'model' as const } };
  const plans = {
    taskId: name,
    capability: PLAN_CAPABILITY,
    description: 'plan anew',
    dependencies: waitsFor,
    input,
    maxAttempts: 100,
  };
  return [...before, plans, ...behind];
}

/** Beside the others one more task that plans, at the same time: it adds some tasks and replaces none, so that neither contradicts the other. */
function withSibling(dice: Dice, tasks: readonly Task[]): Task[] {
  const gone = new Set(tasks.flatMap(({ input }) => input.revises?.replaces ?? []));
  const kept = tasks.filter(({ taskId }) => !gone.has(taskId));
  const fresh = tasksOf(dice, true, false)
    .slice(0, 2)
    .map((task, index) => {
      const dependencies = kept.filter(() => dice.chance(0.3)).map(({ taskId }) => taskId);
      return { ...task, taskId: `x${index}`, dependencies };
    });
  const [first] = tasks.filter(({ input }) => input.revises !== undefined);
  const sibling = {
    taskId: 'rx',
    capability: PLAN_CAPABILITY,
    description: 'plan beside',
    dependencies: first?.dependencies ?? [],
    // As long as the other one, so that they often end together.
    input: { ms: first?.input.ms ?? 0, revises: { tasks: fresh, replaces: [], source: 'model' as const } },
    maxAttempts: 100,
  };
  return [...tasks, sibling];
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

/** One of them fails for good, and so does what stands in for it, `again` times. */
function withFailure(dice: Dice, tasks: readonly Task[], again: number): Task[] {
  const chosen = dice.int(0, tasks.length - 1);
  return tasks.map((task, index) => {
    if (index !== chosen || task.input.revises !== undefined) return task;
    const { failTimes: _none, ...input } = task.input;
    return { ...task, input: { ...input, fatal: true, again } };
  });
}

/** Tasks that wait for several may do without those that fail. */
function tolerantOf(dice: Dice, tasks: readonly Task[]): Task[] {
  return tasks.map((task) =>
    task.dependencies.length > 1 && dice.chance(0.7) ? { ...task, tolerant: true as const } : task,
  );
}

function ancestorsOf(tasks: readonly Task[], of: readonly string[]): ReadonlySet<string> {
  const found = new Set(of);
  for (const { taskId, dependencies } of tasks.toReversed())
    if (found.has(taskId)) for (const dependency of dependencies) found.add(dependency);
  return found;
}

function budgetOf(
  dice: Dice,
  calm: boolean,
): { usd?: number; tokens?: number; messages?: number; wallMs?: number } | undefined {
  if (calm || dice.chance(0.5)) return undefined;
  return {
    ...(dice.chance(0.5) ? { usd: dice.int(0, 150) * MICRO } : {}),
    ...(dice.chance(0.3) ? { tokens: dice.int(0, 150) } : {}),
    ...(dice.chance(0.3) ? { messages: dice.int(0, 20) } : {}),
    ...(dice.chance(0.2) ? { wallMs: dice.int(1, 20_000) } : {}),
  };
}

/** Some pieces of work, the last of which answers. */
function scriptOf(dice: Dice, calm: boolean): PeerScript {
  const more = Array.from({ length: dice.int(0, 3) }, (): Behaviour => {
    const capability = dice.pick(CAPABILITIES);
    const parts = Array.from({ length: dice.int(1, 3) }, () => ({ capability: dice.pick(CAPABILITIES), note: 'part' }));
    const step: Step = dice.chance(0.3)
      ? { kind: 'split', parts, capability, note: '' }
      : { kind: 'hand_on', capability, note: 'on' };
    return { ...behaviour(dice, calm), step };
  });
  const last: Behaviour = { ...behaviour(dice, calm), step: { kind: 'answer' } };
  return { works: [...more, last], part: behaviour(dice, calm) };
}

function drawPeerGoal(dice: Dice, common: Pick<SimGoal, 'goalId' | 'at' | 'onTaskFailure'>, calm: boolean): SimGoal {
  const { goalId, onTaskFailure } = common;
  const peers = scriptOf(dice, calm);
  const budget = budgetOf(dice, calm);
  return {
    ...common,
    submission: {
      goalId,
      description: `goal ${goalId}`,
      pattern: 'peer-to-peer',
      onTaskFailure,
      input: peers,
      ...(budget === undefined ? {} : { budget }),
    },
    ...(!calm && dice.chance(0.12) ? { cancelAt: (common.at[0] ?? 0) + dice.int(0, 6_000) } : {}),
    fate: 'accepted',
    tasks: undefined,
    planned: false,
    peers,
    usd: budget?.usd,
    mayComplete: false,
    mayCompleteCalmly: calm,
  };
}

/** `calm`: nothing in the goal itself keeps it from being completed. */
export function drawGoal(dice: Dice, goalId: string, calm: boolean): SimGoal {
  const at = dice.int(0, 3_000);
  // Every third time right after the first, so that both are in hands at once.
  const gap = dice.chance(0.15) ? dice.int(0, 15_000) : undefined;
  const again = gap === undefined ? [at] : [at, at + (gap < 5_000 ? gap % 3 : gap)];
  const onTaskFailure = dice.pick(['fail', 'continue'] as const);
  const common = { goalId, at: again, onTaskFailure };
  if (dice.chance(0.2)) return drawPeerGoal(dice, common, calm);
  if (!calm && dice.chance(0.05)) {
    const tasks = [
      { taskId: 'x', capability: 'a', dependencies: ['y'] },
      { taskId: 'y', capability: 'a', dependencies: ['x'] },
    ];
    return {
      ...common,
      submission: { goalId, description: 'cyclic', tasks },
      fate: 'rejected',
      tasks: [],
      planned: false,
      usd: undefined,
      mayComplete: false,
      mayCompleteCalmly: false,
    };
  }
  const large = dice.chance(0.015);
  const planned = dice.chance(0.3);
  const revised = planned && !large && dice.chance(0.6);
  const safe = dice.chance(0.6);
  const first = tasksOf(dice, calm, large);
  const once = revised ? withRevision(dice, first, safe) : first;
  const grown = revised && dice.chance(0.5) ? withSibling(dice, once) : once;
  const broken = planned && !large && dice.chance(0.35) ? dice.int(0, 2) : undefined;
  const fails = broken === undefined ? grown : withFailure(dice, grown, broken);
  const failing = broken !== undefined && dice.chance(0.5) ? withFailure(dice, fails, broken) : fails;
  const tasks = onTaskFailure === 'continue' && dice.chance(0.7) ? tolerantOf(dice, failing) : failing;
  const budget = budgetOf(dice, calm);
  const stranded = !calm && dice.chance(0.03);
  const usable = !planned || calm || dice.chance(0.85);
  const wallMs = stranded
    ? { budget: { ...budget, wallMs: dice.int(1, 20_000) } }
    : budget === undefined
      ? {}
      : { budget };
  const graph = stranded
    ? [...tasks, { taskId: 'lost', capability: 'nobody', description: '', dependencies: [], input: { ms: 0 } }]
    : tasks;
  const plan = usable
    ? { tasks: graph, source: 'model', ...(revised ? { revisions: REVISIONS_MAX } : {}) }
    : { tasks: [{ taskId: 'x', capability: 'a', dependencies: ['x'] }], source: 'model' };
  return {
    ...common,
    submission: {
      goalId,
      description: `goal ${goalId}`,
      onTaskFailure,
      ...wallMs,
      ...(planned ? { input: { ms: dice.int(0, 300), plan } } : { tasks: graph }),
    },
    ...(!calm && dice.chance(0.12) ? { cancelAt: at + dice.int(0, 6_000) } : {}),
    fate: 'accepted',
    tasks: usable ? graph : undefined,
    planned,
    usd: budget?.usd,
    mayComplete: calm && !planned,
    mayCompleteCalmly: calm && (!revised || safe) && broken === undefined,
  };
}
