/** Goals for schedules that are not drawn: one for each way in which a graph comes to be, and changes. */
import type { Step } from '../../shared/protocol/peer.ts';
import type { Later, PeerScript, SimGoal } from './sim-goals.ts';
import { type Setting, World } from './sim-world.ts';

/** One schedule, from its beginning until nothing is left to do. */
export async function play(seed: number, setting?: Setting): Promise<World> {
  const world = new World(seed, setting);
  await world.run();
  return world;
}

export const ECHO = { capability: 'a', description: '', maxAttempts: 20 };
/** One goal with a join, a vote and a plan in it: every kind of transition. */
export const GOAL = {
  goalId: 'g1',
  submission: {},
  at: [0],
  fate: 'accepted',
  tasks: [
    { ...ECHO, taskId: 't0', dependencies: [], input: { ms: 0 } },
    { ...ECHO, taskId: 't1', dependencies: ['t0'], input: { ms: 40, sideEffect: true } },
    { ...ECHO, taskId: 't2', dependencies: ['t0'], input: { ms: 0, failTimes: 1 } },
    { ...ECHO, taskId: 't3', dependencies: ['t1', 't2'], input: { ms: 0, calls: [{ worst: 3, actual: 2 }] } },
  ],
  planned: false,
  onTaskFailure: 'fail',
  usd: 1,
  mayComplete: true,
  mayCompleteCalmly: true,
} satisfies SimGoal;
export const explicit: SimGoal = {
  ...GOAL,
  submission: { goalId: 'g1', description: 'd', budget: { usd: 1 }, tasks: GOAL.tasks },
};
export const planned: SimGoal = {
  ...GOAL,
  planned: true,
  submission: {
    goalId: 'g1',
    description: 'd',
    budget: { usd: 1 },
    input: { ms: 0, plan: { tasks: GOAL.tasks, source: 'model' } },
  },
};
/** While it runs it is planned anew: a task that nobody has begun is replaced, and new ones wait for old and for each other. */
const later: Later = {
  tasks: [
    { ...ECHO, taskId: 'n1', dependencies: ['t0'], input: { ms: 0 } },
    { ...ECHO, taskId: 'n2', dependencies: ['t1', 'n1'], input: { ms: 40, sideEffect: true } },
  ],
  replaces: ['t2'],
  source: 'model',
};
const REVISED = [
  ...GOAL.tasks.slice(0, 2),
  { ...ECHO, taskId: 're', capability: 'plan', dependencies: ['t0'], input: { ms: 40, revises: later } },
  { ...ECHO, taskId: 't2', dependencies: ['re'], input: { ms: 0 } },
];
export const revised: SimGoal = {
  ...GOAL,
  planned: true,
  tasks: REVISED,
  submission: {
    goalId: 'g1',
    description: 'd',
    budget: { usd: 1 },
    input: { ms: 0, plan: { tasks: REVISED, source: 'model', revisions: 1 } },
  },
};

/** A task fails for good, what stands in for it in the next plan does too, and the plan after that goes through. */
const BROKEN = [
  { ...ECHO, taskId: 't0', dependencies: [], input: { ms: 0 } },
  { ...ECHO, taskId: 't1', dependencies: ['t0'], input: { ms: 10, fatal: true, again: 1 } },
  { ...ECHO, taskId: 't2', dependencies: ['t0'], input: { ms: 60, sideEffect: true } },
  { ...ECHO, taskId: 't3', dependencies: ['t1', 't2'], input: { ms: 0 } },
];
export const repaired: SimGoal = {
  ...GOAL,
  planned: true,
  tasks: BROKEN,
  submission: {
    goalId: 'g1',
    description: 'd',
    budget: { usd: 1 },
    input: { ms: 0, plan: { tasks: BROKEN, source: 'model' } },
  },
};
/** While another plan is made for what the first failure left undone, something fails that this plan goes on from. */
const MEANWHILE = [
  { ...ECHO, taskId: 'u0', dependencies: [], input: { ms: 30, fatal: true } },
  { ...ECHO, taskId: 'u1', dependencies: [], input: { ms: 60, fatal: true } },
  { ...ECHO, taskId: 'u2', dependencies: ['u1'], input: { ms: 0 } },
];
export const overtaken: SimGoal = {
  ...repaired,
  tasks: MEANWHILE,
  submission: { ...repaired.submission, input: { ms: 0, plan: { tasks: MEANWHILE, source: 'model' } } },
};
/** Two of three parts fail at the same time, under an explicit graph that goes on after a failure. */
export const PARTS = [
  { ...ECHO, taskId: 'p0', dependencies: [], input: { ms: 10, fatal: true } },
  { ...ECHO, taskId: 'p1', dependencies: [], input: { ms: 10, fatal: true } },
  { ...ECHO, taskId: 'p2', dependencies: [], input: { ms: 30, sideEffect: true } },
  { ...ECHO, taskId: 'join', dependencies: ['p0', 'p1', 'p2'], input: { ms: 0 }, tolerant: true as const },
  { ...ECHO, taskId: 'after', dependencies: ['join'], input: { ms: 0 } },
];
export const merged: SimGoal = {
  ...GOAL,
  tasks: PARTS,
  onTaskFailure: 'continue',
  mayComplete: false,
  mayCompleteCalmly: false,
  submission: { goalId: 'g1', description: 'd', budget: { usd: 1 }, tasks: PARTS, onTaskFailure: 'continue' },
};

/** Nobody plans it: auctions, work for the one that won, parts, and the answer. */
export const script: PeerScript = {
  works: [
    {
      ms: 0,
      step: { kind: 'split', parts: [{ capability: 'a', note: 'part' }], capability: 'b', note: '' },
      calls: [{ worst: 3, actual: 2 }],
    },
    { ms: 40, sideEffect: true, step: { kind: 'hand_on', capability: 'a', note: '' } },
    { ms: 40, step: { kind: 'answer' } },
  ],
  parts: [{ ms: 0 }],
};
export const unplanned: SimGoal = {
  ...GOAL,
  tasks: undefined,
  peers: script,
  submission: { goalId: 'g1', description: 'd', pattern: 'peer-to-peer', budget: { usd: 1 }, input: script },
};

/** Parts of it fail twice, the second time all of them: who goes on does without, hands on, splits again, and answers. */
const division: PeerScript = {
  works: [
    { ms: 0, step: splitInto(2) },
    { ms: 40, sideEffect: true, step: { kind: 'hand_on', capability: 'a', note: '' } },
    { ms: 0, step: splitInto(2) },
    { ms: 40, calls: [{ worst: 3, actual: 2 }], step: { kind: 'answer' } },
  ],
  // Of the first two parts the first fails, of the next two both do, at the same moment.
  parts: [
    { ms: 20, sideEffect: true },
    { ms: 10, fatal: true },
    { ms: 30 },
    { ms: 10, fatal: true },
    { ms: 10, fatal: true },
  ],
};
export const divided: SimGoal = {
  ...unplanned,
  peers: division,
  onTaskFailure: 'continue',
  mayComplete: false,
  mayCompleteCalmly: false,
  submission: { ...unplanned.submission, onTaskFailure: 'continue', input: division },
};

function splitInto(count: number): Step {
  const parts = Array.from({ length: count }, () => ({ capability: 'a', note: 'part' }));
  return { kind: 'split', parts, capability: 'b', note: '' };
}
