/** Goals drawn at random, with what their handlers do written into the tasks' inputs, so that every right answer can be computed without an engine. */
import { createHash } from 'node:crypto';
import type { Random } from '../../shared/ports.ts';
import type { TaskSpec } from '../../shared/protocol/goal.ts';

/** What the handler of one task does. */
export interface Behaviour {
  /** How long it works, ms. */
  readonly ms: number;
  /** Attempts that fail before one succeeds. */
  readonly failTimes?: number;
  /** Fails for good. */
  readonly fatal?: boolean;
  /** Model calls; each may cost `worst` and costs `actual`, in micro-dollars and tokens alike. */
  readonly calls?: readonly { readonly worst: number; readonly actual: number }[];
  readonly sideEffect?: boolean;
  /** Characters of its result, to make it a blob. */
  readonly bulk?: number;
  /** What a planner answers: anything. */
  readonly plan?: unknown;
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
  readonly onTaskFailure: 'fail' | 'continue';
  readonly usd: number | undefined;
  /** Nothing that the goal itself asks for keeps it from being completed, given attempts enough. */
  readonly mayComplete: boolean;
}

export const MICRO = 1e-6;
export const CAPABILITIES = ['a', 'b'] as const;
export const VOTERS = 'voter';

/** Draws from a generator. */
export interface Dice {
  readonly random: Random;
  int(from: number, to: number): number;
  chance(share: number): boolean;
  pick<T>(items: readonly T[]): T;
}

export function diceOf(random: Random): Dice {
  const int = (from: number, to: number): number => from + Math.floor(random() * (to - from + 1));
  return {
    random,
    int,
    chance: (share) => random() < share,
    pick(items) {
      const item = items[int(0, items.length - 1)];
      if (item === undefined) throw new Error('expected something to pick from');
      return item;
    },
  };
}

/** The one right result of a task, given those of its dependencies. */
export function resultOf(
  taskId: string,
  bulk: number | undefined,
  dependencies: Readonly<Record<string, unknown>>,
): unknown {
  const sorted = Object.entries(dependencies).toSorted(([one], [other]) => (one < other ? -1 : 1));
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

/** `calm`: nothing in the goal itself keeps it from being completed. */
export function drawGoal(dice: Dice, goalId: string, calm: boolean): SimGoal {
  const at = dice.int(0, 3_000);
  const again = dice.chance(0.15) ? [at, at + dice.int(0, 15_000)] : [at];
  const onTaskFailure = dice.pick(['fail', 'continue'] as const);
  const common = { goalId, at: again, onTaskFailure };
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
    };
  }
  const tasks = tasksOf(dice, calm, dice.chance(0.015));
  const planned = dice.chance(0.2);
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
    ? { tasks: graph, source: 'model' }
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
  };
}
