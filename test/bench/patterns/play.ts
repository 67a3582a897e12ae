/** Ten goals by each pattern, one after the other, in one mesh: left alone, or struck. */
import type { TestBroker } from '../../support/broker.ts';
import { gather, judge, logHasCaughtUp } from '../../support/checker.ts';
import type { ForeignGoal } from '../../support/foreign-records.ts';
import { type Mesh, openMesh } from '../../support/open-mesh.ts';
import { waitUntil } from '../../support/wait.ts';
import { type Crew, startCrew } from './crew.ts';
import { type Effect, effectOf, type Struck } from './recovery.ts';
import { BROKER_DOWN_MS, MODEL_LATENCY_MS, type Pattern, PATTERNS, type Work, works } from './setting.ts';
import type { Strike } from './strikes.ts';
import { type Held, type Watch, watchTasks } from './watch.ts';

/** A goal that has not ended after this has failed the benchmark. */
const GOAL_MS_MAX = 60_000;
const STREAM_MS_MAX = 20_000;

export interface Ended {
  readonly goalId: string;
  readonly goal: ForeignGoal | undefined;
  /** From the submission to the goal's own end. */
  readonly latencyMs: number;
  readonly strike?: { readonly kind: Strike['kind'] } & Effect;
}

/** Ten goals by one pattern. */
export interface Played {
  readonly pattern: Pattern;
  readonly ended: readonly Ended[];
  /** Requests that the model answered. */
  readonly calls: number;
  /** Records that were written: every revision of a key. */
  readonly records: number;
}

export interface Run {
  readonly played: readonly Played[];
  /** What the checker found in the streams. */
  readonly violations: readonly string[];
}

export interface Stage {
  readonly broker: TestBroker;
  readonly model: { readonly origin: string; readonly baseUrl: string };
}

interface Outcome {
  readonly pattern: Pattern;
  readonly ended: Ended;
  readonly struck: Struck | undefined;
  readonly calls: number;
}

/** `latencies`: of each goal without a strike; what a strike's moment is a share of. */
export async function play(
  { broker, model }: Stage,
  struck?: { readonly strikes: ReadonlyMap<number, Strike>; readonly latencies: ReadonlyMap<string, number> },
): Promise<Run> {
  const mesh = await openMesh('patterns', broker.url);
  try {
    const crew = startCrew(mesh, model.baseUrl);
    await crew.ready();
    await warmUp(mesh);
    const watch = watchTasks(mesh);
    const outcomes: Outcome[] = [];
    for (const [index, work] of works().entries()) {
      // Each goal by all patterns before the next one, and each of them first in turn: what else the machine does hits all of them alike.
      for (const pattern of [
        ...PATTERNS.slice(index % PATTERNS.length),
        ...PATTERNS.slice(0, index % PATTERNS.length),
      ]) {
        const goalId = `${pattern}-${index + 1}`;
        const before = await callsOf(model.origin);
        const calmMs = struck?.latencies.get(goalId) ?? 0;
        const scene = { mesh, crew, watch, broker };
        const one = await playOne(scene, pattern, { ...work, goalId }, struck?.strikes.get(index), calmMs);
        await crew.ready();
        outcomes.push({ ...one, pattern, calls: (await callsOf(model.origin)) - before });
      }
    }
    watch.stop();
    return await accountOf(mesh, outcomes);
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : String(error)}\n${mesh.tails()}`, { cause: error });
  } finally {
    await mesh.close();
  }
}

/** The first tasks of a process load what it needs: nobody's latency is to tell of that. */
async function warmUp({ foreign }: Mesh): Promise<void> {
  const goals = works().flatMap((work, index) => ({ ...work, goalId: `warm-${index}`, pattern: PATTERNS[index % 4] }));
  await Promise.all(goals.map((goal) => foreign.submit(goal)));
  await Promise.all(goals.map(({ goalId }) => foreign.ended(goalId, GOAL_MS_MAX)));
}

interface Scene {
  readonly mesh: Mesh;
  readonly crew: Crew;
  readonly watch: Watch;
  readonly broker: TestBroker;
}

async function playOne(scene: Scene, pattern: Pattern, work: Work, strike: Strike | undefined, calmMs: number) {
  const { foreign } = scene.mesh;
  const submittedAt = Date.now();
  await foreign.submit({ ...work, pattern });
  const struck = strike === undefined ? undefined : await hit(scene, pattern, work.goalId, strike, calmMs);
  const goal = await endOf(foreign, work.goalId);
  const finishedAt = goal?.finishedAt === undefined ? Date.now() : Date.parse(goal.finishedAt);
  const ended: Ended = { goalId: work.goalId, goal, latencyMs: finishedAt - submittedAt };
  return { ended, struck };
}

/** Undefined: it has not ended in time. A broker that is down, or just up, answers nothing yet. */
function endOf(foreign: Mesh['foreign'], goalId: string): Promise<ForeignGoal | undefined> {
  const look = async (): Promise<ForeignGoal | undefined> => {
    const goal = await foreign.goal(goalId).catch(() => undefined);
    return goal?.finishedAt === undefined ? undefined : goal;
  };
  return waitUntil(`goal ${goalId} is over`, look, GOAL_MS_MAX).catch(() => undefined);
}

/** Strikes at its moment, but not before there is something to hit: a process that has a task of this goal. */
async function hit(
  { mesh, crew, watch, broker }: Scene,
  pattern: Pattern,
  goalId: string,
  { kind, share }: Strike,
  calmMs: number,
): Promise<Struck> {
  const planning = kind === 'planner';
  await passed(share * (planning ? MODEL_LATENCY_MS : calmMs));
  if (kind === 'broker') {
    const at = Date.now();
    await broker.kill('SIGKILL');
    await passed(BROKER_DOWN_MS);
    await broker.restart();
    return { kind, goalId, at };
  }
  const nobodyPlans = planning && pattern === 'peer-to-peer';
  const held = nobodyPlans ? undefined : await heldSoon(mesh, watch, goalId, planning);
  const agentId = held?.agentId ?? crew.anyOf(planning ? 'planner' : 'coder');
  if (agentId === undefined) throw new Error('there is nobody left to kill');
  const at = Date.now();
  await crew.kill(agentId);
  return { kind, goalId, at, agentId, ...held };
}

/** A moment that was drawn, not one that is guessed at. */
async function passed(ms: number): Promise<void> {
  const moment = performance.now() + ms;
  await waitUntil(`${ms} ms have passed`, () => performance.now() >= moment, ms + GOAL_MS_MAX);
}

/** Undefined: the goal was over first. */
async function heldSoon({ foreign }: Mesh, watch: Watch, goalId: string, planning: boolean): Promise<Held | undefined> {
  const soon = await waitUntil('somebody works on the goal, or it is over', async () => {
    const held = watch.held(goalId, planning);
    if (held !== undefined) return { held };
    return (await foreign.goal(goalId))?.finishedAt === undefined ? undefined : { held: undefined };
  });
  return soon.held;
}

async function accountOf({ foreign, name }: Mesh, outcomes: readonly Outcome[]): Promise<Run> {
  const evidence = await waitUntil(
    'the log has caught up',
    async () => {
      const found = await gather(foreign.nc, name);
      return logHasCaughtUp(found) ? found : undefined;
    },
    STREAM_MS_MAX,
  );
  const ended = ({ ended: one, struck }: Outcome): Ended =>
    struck === undefined ? one : { ...one, strike: { kind: struck.kind, ...effectOf(struck, evidence.dag, name) } };
  const played = PATTERNS.map((pattern): Played => {
    const own = outcomes.filter((outcome) => outcome.pattern === pattern);
    const ids = new Set(own.map((outcome) => outcome.ended.goalId));
    return {
      pattern,
      ended: own.map(ended),
      calls: own.reduce((sum, { calls }) => sum + calls, 0),
      // `$KV.<m>_dag.<kind>.<goalId>...`
      records: evidence.dag.filter(({ subject }) => ids.has(subject.split('.')[3] ?? '')).length,
    };
  });
  const ids = outcomes.map((outcome) => outcome.ended.goalId);
  return { played, violations: judge(name, evidence, ids).violations };
}

async function callsOf(origin: string): Promise<number> {
  const stats = (await (await fetch(`${origin}/faults`)).json()) as { readonly requests: number };
  return stats.requests;
}
