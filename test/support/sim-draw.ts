/** Goals drawn at random. */
import type { Step } from '../../shared/protocol/peer.ts';
import { PLAN_CAPABILITY } from '../../shared/protocol/subjects.ts';
import type { Dice } from './sim-dice.ts';
import { type Behaviour, CAPABILITIES, MICRO, type PeerScript, type SimGoal, type Task, VOTERS } from './sim-goals.ts';

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
function scriptOf(dice: Dice, calm: boolean, broken: boolean): PeerScript {
  const more = Array.from({ length: dice.int(0, 3) }, (): Behaviour => {
    const capability = dice.pick(CAPABILITIES);
    const parts = Array.from({ length: dice.int(1, 3) }, () => ({ capability: dice.pick(CAPABILITIES), note: 'part' }));
    const step: Step = dice.chance(broken ? 0.7 : 0.3)
      ? { kind: 'split', parts, capability, note: '' }
      : { kind: 'hand_on', capability, note: 'on' };
    return { ...behaviour(dice, calm), step };
  });
  const last: Behaviour = { ...behaviour(dice, calm), step: { kind: 'answer' } };
  const parts = Array.from({ length: 4 }, (): Behaviour => {
    const part = behaviour(dice, calm);
    return broken && dice.chance(0.5) ? { ...part, fatal: true } : part;
  });
  return { works: [...more, last], parts };
}

function drawPeerGoal(dice: Dice, common: Pick<SimGoal, 'goalId' | 'at' | 'onTaskFailure'>, calm: boolean): SimGoal {
  const { goalId, onTaskFailure } = common;
  const broken = dice.chance(0.4);
  const peers = scriptOf(dice, calm, broken);
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
    mayCompleteCalmly: calm && !broken,
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
