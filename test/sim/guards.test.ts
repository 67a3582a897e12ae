/** Guards that random schedules meet once in thousands, or never: one small schedule each, in which nothing but the guard keeps the goal right. */
import { describe, expect, it } from 'vitest';
import { encode } from '../../shared/protocol/codec.ts';
import { GoalRecord, TASKS_MAX } from '../../shared/protocol/goal.ts';
import { PEER_TASKS_MAX } from '../../shared/protocol/peer.ts';
import { violations } from '../support/sim-check.ts';
import { type Behaviour, MICRO, type PeerScript, type SimGoal, type Task } from '../support/sim-goals.ts';
import {
  divided,
  ECHO,
  explicit,
  GOAL,
  merged,
  PARTS,
  planned,
  play,
  script,
  unplanned,
} from '../support/sim-scenarios.ts';
import { subjects, World } from '../support/sim-world.ts';

/** Nothing keeps these goals from their end but what the test is about. */
const NOT_MET = { mayComplete: false, mayCompleteCalmly: false };

describe('the birth of a graph', () => {
  it('that was broken off is completed before a failure in it changes the graph', async () => {
    const behind = ['after1', 'after2', 'after3', 'after4'].map((taskId) => {
      return { ...ECHO, taskId, dependencies: ['join'], input: { ms: 0 } };
    });
    const tasks = [...PARTS.slice(0, 4), ...behind];
    const goal: SimGoal = { ...merged, tasks, submission: { ...merged.submission, tasks } };
    let partial = 0;
    for (let seed = 1; seed <= 40; seed += 1) {
      const world = await play(seed, { goals: [goal], processes: 1, deaths: [{ act: 1, moment: 'during' }] });
      expect(violations(world), `seed ${seed}`).toEqual([]);
      partial += world.tally.counts.get('error worker: tasks of goal gn are not written yet') ?? 0;
    }
    // In some of them a task failed before the others were there; or this proves nothing.
    expect(partial).toBeGreaterThan(0);
  });
});

describe('parts that fail at the same moment', () => {
  it('leave the goal one result, that of the join which does without them', async () => {
    for (let seed = 1; seed <= 4; seed += 1) {
      const world = await play(seed, { goals: [merged], deaths: [] });
      expect(violations(world), `seed ${seed}`).toEqual([]);
      expect(endOf(world)).toMatchObject({ status: 'failed', sinks: ['r1-after'], result: { by: 'r1-after' } });
    }
  });

  it('end a goal that nobody plans under `fail` alone, also when all parts of a split fail', async () => {
    for (const [onTaskFailure, end] of [
      ['continue', { sinks: ['w4'], result: { by: 'w4' }, tasks: { completed: 9, failed: 3, cancelled: 2 } }],
      ['fail', { sinks: ['a2'], tasks: { total: 5, failed: 1 } }],
    ] as const) {
      const goal: SimGoal = { ...divided, onTaskFailure, submission: { ...divided.submission, onTaskFailure } };
      const world = await play(1, { goals: [goal], deaths: [] });
      expect(violations(world)).toEqual([]);
      expect(endOf(world)).toMatchObject({ status: 'failed', error: { code: 'task_failed' }, ...end });
    }
  });
});

/** One task, done at once with its goal if its account is empty. */
function alone(input: Behaviour): SimGoal {
  const tasks = [{ ...ECHO, taskId: 't0', dependencies: [], input }];
  return { ...GOAL, tasks, submission: { ...explicit.submission, tasks } };
}

/** How the goal of a schedule ended, as its record says. */
function endOf({ dag }: World) {
  const last = dag.state.get(subjects.dagSubject(subjects.goalKey('g1')));
  return GoalRecord.parse(JSON.parse(new TextDecoder().decode(last?.data)));
}

describe('a graph that grows (I10)', () => {
  const plans = (taskId: string, adds: readonly Task[]): Task => ({
    ...ECHO,
    taskId,
    capability: 'plan',
    dependencies: [],
    input: { ms: 0, revises: { tasks: adds, replaces: [], source: 'model' } },
  });
  const planning = (first: Task, revisions: number): SimGoal => ({
    ...planned,
    ...NOT_MET,
    tasks: [first],
    submission: {
      goalId: 'g1',
      description: 'd',
      replans: 0,
      input: { ms: 0, plan: { tasks: [first], source: 'model', revisions } },
    },
  });
  const leaf = (taskId: string): Task => ({ ...ECHO, taskId, dependencies: [], input: { ms: 0 } });

  it('is revised as often as its first plan asked for, and once more is a reason to fail', async () => {
    let first = leaf('n0');
    for (let level = 1; level <= 4; level += 1) first = plans(`re${level}`, [first]);
    for (const [revisions, status] of [
      [4, 'completed'],
      [3, 'failed'],
    ] as const) {
      const world = await play(1, { goals: [planning(first, revisions)], deaths: [] });
      expect(violations(world)).toEqual([]);
      const goal = endOf(world);
      expect(goal).toMatchObject({ status, revision: revisions });
      if (status === 'failed')
        expect(goal).toMatchObject({
          error: { code: 'unplannable', message: expect.stringContaining('at most 3 rev') },
        });
    }
  });

  it('has at most 10,000 tasks, those of its plans included', async () => {
    const goal = planning(plans('re', []), 1);
    // As few words as a plan may have: all of it must fit a submission.
    const tasks = Array.from({ length: TASKS_MAX - 1 }, (_, index) => ({ taskId: `n${index}`, capability: 'a' }));
    const revises = { ...plans('re', []), input: { ms: 0, revises: { tasks, replaces: [], source: 'model' } } };
    const input = { ms: 0, plan: { tasks: [revises], source: 'model', revisions: 1 } };
    const world = await play(1, { goals: [{ ...goal, submission: { ...goal.submission, input } }], deaths: [] });
    expect(violations(world)).toEqual([]);
    expect(endOf(world)).toMatchObject({
      status: 'failed',
      error: { code: 'unplannable', message: expect.stringContaining('at most 10000 tasks, got 10001') },
      tasks: { total: 2 },
    });
  });

  it('that nobody plans has at most 100 tasks', async () => {
    const parts = Array.from({ length: 8 }, (_, index) => ({ capability: 'a', note: `part ${index}` }));
    const works = Array.from({ length: 20 }, (_, hop) => ({
      ms: 0,
      step: { kind: 'split' as const, parts, capability: hop % 2 === 0 ? 'a' : 'b', note: `note ${hop}` },
    }));
    const input: PeerScript = { works, parts: [{ ms: 0 }] };
    const goal = { ...unplanned, ...NOT_MET, peers: input, usd: undefined };
    const submission = { goalId: 'g1', description: 'd', pattern: 'peer-to-peer', input };
    const world = await play(1, { goals: [{ ...goal, submission }], deaths: [] });
    expect(violations(world)).toEqual([]);
    const { tasks, ...end } = endOf(world);
    expect(end).toMatchObject({ status: 'failed', error: { code: 'too_many_tasks' } });
    expect(tasks.total).toBeGreaterThan(PEER_TASKS_MAX - 10);
    expect(tasks.total).toBeLessThanOrEqual(PEER_TASKS_MAX);
  });
});

describe('a record that no broker takes (I5)', () => {
  it('is not made of a plan: the goal fails, and says which task is too large', async () => {
    const bulk = { ...ECHO, taskId: 'bulk', dependencies: ['p0'], input: { ms: 0, pad: 'x'.repeat(700_000) } };
    const task = { ...bulk, input: { ms: 0 } };
    const input = { ms: 0, plan: { tasks: [PARTS[0], bulk], source: 'model' } };
    const submission = { goalId: 'g1', description: 'd', replans: 0, input: { $blob: 'large' } };
    const world = new World(1, { goals: [{ ...planned, ...NOT_MET, tasks: [task], submission }], deaths: [] });
    world.blobs.set('large', encode(input));
    await world.run();
    expect(violations(world)).toEqual([]);
    expect(endOf(world)).toMatchObject({
      status: 'failed',
      error: { code: 'unplannable', message: expect.stringContaining('bytes of JSON for task "bulk"') },
    });
  });

  it('is not made of a split: the goal fails, and says how to submit its input', async () => {
    const input = { ...script, pad: 'x'.repeat(540_000) };
    const submission = { goalId: 'g1', description: 'd', pattern: 'peer-to-peer', input };
    const goal = { ...unplanned, ...NOT_MET, usd: undefined, submission };
    const parts = Array.from({ length: 2 }, () => ({ capability: 'a', note: 'part' }));
    const works = [{ ms: 0, step: { kind: 'split' as const, parts, capability: 'b', note: '' } }];
    const peers = { ...script, works };
    const wide = { ...goal, peers, submission: { ...submission, input: { ...input, ...peers } } };
    const world = await play(1, { goals: [wide], deaths: [] });
    expect(violations(world)).toEqual([]);
    expect(endOf(world)).toMatchObject({
      status: 'failed',
      error: { code: 'unplannable', message: expect.stringContaining('{"$blob": "<name>"}') },
    });
  });
});

describe('a cancel', () => {
  it('reaches a task that runs before the task would end, which is sooner than its lease is renewed', async () => {
    const goal = { ...alone({ ms: 1_500, sideEffect: true }), ...NOT_MET };
    for (let cancelAt = 50; cancelAt <= 500; cancelAt += 50) {
      const world = await play(1, { goals: [{ ...goal, cancelAt }], deaths: [] });
      expect(violations(world)).toEqual([]);
      const { counts } = world.tally;
      expect([counts.get('work dropped'), counts.get('conflict complete')], `cancelled after ${cancelAt} ms`).toEqual([
        1,
        undefined,
      ]);
    }
  });
});

describe('a cancelled goal of many tasks', () => {
  it('has few of them begun whose items are still there', async () => {
    const tasks = Array.from({ length: 400 }, (_, index): Task => {
      return { ...ECHO, taskId: `t${index}`, dependencies: [], input: { ms: 100, sideEffect: true } };
    });
    const submission = { ...explicit.submission, tasks };
    const goal: SimGoal = { ...GOAL, ...NOT_MET, tasks, submission, cancelAt: 400 };
    const world = await play(1, { goals: [goal], processes: 2, calm: true });
    expect(violations(world)).toEqual([]);
    expect(endOf(world)).toMatchObject({ status: 'cancelled' });
    const left = endOf(world).tasks.cancelled;
    expect(left).toBeGreaterThan(200);
    // Those that were under way; all others are looked at first.
    expect(world.tally.counts.get('conflict claim') ?? 0).toBeLessThan(left / 4);
  });
});

describe('the account of a goal', () => {
  it('shows in its record within two seconds, also while no task ends', async () => {
    const goal = alone({ ms: 5_000, calls: [{ worst: 3, actual: 2 }] });
    const world = await play(1, { goals: [goal], calm: true });
    expect(violations(world)).toEqual([]);
    const key = subjects.dagSubject(subjects.goalKey('g1'));
    const revisions = world.dag.stream.filter(({ subject }) => subject === key);
    const spent = revisions.map(({ data }) => GoalRecord.parse(JSON.parse(new TextDecoder().decode(data))));
    const running = spent.findLast(({ status }) => status === 'running')?.spent;
    expect(running).toMatchObject({ usd: 2 * MICRO, tokens: 2 });
    expect(running?.wallMs).toBeGreaterThan(0);
    expect(running?.wallMs).toBeLessThan(3_000);
  });

  it('is closed with it when its last task did not wait for what it had asked a model (I4)', async () => {
    const goal = alone({ ms: 0, calls: [{ worst: 3, actual: 2, unawaited: true }] });
    for (let seed = 1; seed <= 10; seed += 1)
      expect(violations(await play(seed, { goals: [goal], deaths: [] })), `seed ${seed}`).toEqual([]);
  });

  it('is closed with it when an agent that was taken for dead still asks a model for the last task (I4)', async () => {
    const goal = alone({ ms: 4_000, calls: [{ worst: 3, actual: 2 }], callsOnce: true });
    let late = 0;
    for (let atMs = 1; atMs <= 40; atMs += 1) {
      const world = await play(1, { goals: [goal], processes: 2, freezes: [{ place: 0, atMs, forMs: 7_000 }] });
      expect(violations(world), `frozen after ${atMs} ms`).toEqual([]);
      late += world.billed.get('g1') === undefined ? 0 : (world.tally.counts.get('work dropped') ?? 0);
    }
    expect(late).toBeGreaterThan(0);
  });
});

describe('a goal of many tasks', () => {
  interface Shape {
    /** One task waits for all. */
    readonly joined?: true;
    /** One waits for each. */
    readonly followed?: true;
    /** Share of them that fail for good. */
    readonly fails?: number;
  }

  /** What its agents read until it is over, in bytes for each task. */
  async function readOf(
    count: number,
    onTaskFailure: SimGoal['onTaskFailure'],
    { joined, followed, fails = 0 }: Shape,
  ) {
    const names = Array.from({ length: count }, (_, index) => `t${index}`.padEnd(64, '-'));
    const parts = names.map((taskId, index): Task => {
      // Half of them are claimed, half end at once.
      const input = { ms: index % 2 === 0 ? 40 : 0, ...(index < fails * count ? { fatal: true } : {}) };
      return { ...ECHO, taskId, dependencies: [], input };
    });
    const after = (taskId: string, dependencies: readonly string[]): Task => {
      return { ...ECHO, taskId, dependencies: [...dependencies], input: { ms: 0 } };
    };
    const tasks = [
      ...parts,
      ...(joined === true ? [after('join', names)] : []),
      ...(followed === true ? names.map((taskId, index) => after(`n${index}`, [taskId])) : []),
    ];
    const submission = { ...explicit.submission, tasks, onTaskFailure };
    const goal: SimGoal = { ...GOAL, tasks, onTaskFailure, submission, ...(fails > 0 ? NOT_MET : {}) };
    const world = await play(3, { goals: [goal], processes: 3, calm: true });
    expect(violations(world)).toEqual([]);
    expect(endOf(world)).toMatchObject({ status: fails > 0 ? 'failed' : 'completed' });
    return world.dag.bytesRead / count;
  }

  const cases: readonly (readonly [name: string, onTaskFailure: SimGoal['onTaskFailure'], shape: Shape])[] = [
    ['that nothing waits for', 'fail', {}],
    ['that nothing waits for, under `continue`', 'continue', {}],
    ['of which some fail, under `continue`', 'continue', { fails: 0.25 }],
    ['whose join was given up, under `continue`', 'continue', { fails: 0.01, joined: true }],
    ['of which some fail that others wait for, under `continue`', 'continue', { fails: 0.5, followed: true }],
  ];
  it.each(cases)('%s has each of them read no more than a task of a smaller goal does', async (_, policy, shape) => {
    const few = await readOf(80, policy, shape);
    const many = await readOf(320, policy, shape);
    // Read by each, the goal's record or all tasks would make it four times as much.
    expect(many / few).toBeLessThan(2);
  });
});
