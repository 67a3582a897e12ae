/**
 * What a model proposes as a plan -> the plan of PROTOCOL, or what is wrong with it. Only code gives names here: task ids are `t1` to `tn`, a
 * capability must be one that a live agent offers, and a model's words end up in descriptions and nowhere else.
 */
import type { Pattern, TaskSpec } from '../protocol/goal.ts';
import type { Plan } from '../protocol/plan.ts';
import { PLAN_CAPABILITY, REVIEW_CAPABILITY } from '../protocol/subjects.ts';
import type { TaskVote } from '../protocol/vote.ts';
import { type GraphFault, validateGraph } from './dag.ts';

/** Steps that a model may propose at once (I10); a user's own explicit graph has the protocol's larger bound. */
export const STEPS_MAX = 64;
/** Characters of one step's description; the rest of what a model wrote is cut off. */
export const STEP_DESCRIPTION_MAX = 2_000;
/** Voters below this number cannot outvote one another: two are either of one mind or stuck. */
const REVIEWERS_MIN = 3;

/** One step as a model wrote it. Nothing in it is trusted. */
export interface ProposedStep {
  readonly id: string;
  readonly title: string;
  readonly description: string;
  readonly capability: string;
  /** Ids of the steps whose results it needs. */
  readonly dependsOn: readonly string[];
}

/** What the planner knows of the mesh and of the goal. */
export interface Surroundings {
  /** Capabilities of the agents that are alive now. */
  readonly capabilities: ReadonlySet<string>;
  /** Agents that are alive and have the capability `review`. */
  readonly reviewers: number;
  readonly pattern: Pattern;
  /** A parallel part that fails is left out of the join, which names it. */
  readonly continues: boolean;
  /** Present when what a failure left undone is planned anew. */
  readonly before?: Before;
}

/** What a new plan of a goal goes on from. */
export interface Before {
  /** First part of the names of its tasks: no two plans of a goal name alike. */
  readonly prefix: string;
  /** Tasks that are finished, or under way: its steps may wait for them. */
  readonly tasks: ReadonlySet<string>;
  /** Capabilities of tasks that failed, and of tasks that are finished. */
  readonly failed: ReadonlySet<string>;
  readonly finished: ReadonlySet<string>;
}

export type PlanProblemCode =
  | 'no_steps'
  | 'too_many_steps'
  | 'duplicate_step'
  | 'unknown_capability'
  | 'unknown_dependency'
  | 'cyclic_dependencies';

/** `message` is written for the model that gets a second try, and for the log. */
export interface PlanProblem {
  readonly code: PlanProblemCode;
  readonly message: string;
}

export type Planned =
  | { readonly ok: true; readonly plan: Plan }
  | { readonly ok: false; readonly problem: PlanProblem };

/** The proposed steps as a plan of `t1` to `tn` in an order in which they can run; the goal's pattern has the last word on the dependencies. */
export function planFrom(steps: readonly ProposedStep[], around: Surroundings): Planned {
  const resolved = resolve(steps, around);
  if (!resolved.ok) return resolved;
  const sorted = validateGraph(resolved.nodes.map(({ taskId, dependencies }) => ({ taskId, dependencies })));
  if (!sorted.ok) return { ok: false, problem: inWordsOfTheModel(sorted.fault, resolved.nodes) };
  const ranks = new Map(sorted.order.map((listed, position) => [listed, position]));
  const rankOf = (listed: string): number => ranks.get(listed) ?? 0;
  const tasks = resolved.nodes
    .toSorted((one, other) => rankOf(one.taskId) - rankOf(other.taskId))
    .map(({ step, dependencies, before }, position) => {
      const own = dependencies.map((dependency) => rankOf(dependency));
      return taskOf(around, {
        position,
        capability: step.capability,
        description: wordsOf(step),
        after: around.before === undefined ? shaped(around.pattern, position, steps.length, own) : own,
        before,
      });
    });
  return { ok: true, plan: { tasks, source: 'model' } };
}

const FIXED_STEPS = [
  { capability: 'research', verb: 'Analyze' },
  { capability: 'code', verb: 'Implement' },
  { capability: 'review', verb: 'Review' },
] as const;

/** Capabilities that the fixed plan needs. */
export const FALLBACK_CAPABILITIES: readonly string[] = FIXED_STEPS.map((step) => step.capability);

/** The fixed three steps: analyze, implement, review. `reason` says why no model's plan is used. */
export function fallbackPlan(goal: string, around: Surroundings, reason: string): Plan {
  const tasks = FIXED_STEPS.map(({ capability, verb }, position) =>
    taskOf(around, {
      position,
      capability,
      description: clip(`${verb}: ${goal}`, STEP_DESCRIPTION_MAX),
      after: shaped(around.pattern, position, FIXED_STEPS.length, chained(position)),
      before: [],
    }),
  );
  return { tasks, source: 'fallback', reason: clip(reason, STEP_DESCRIPTION_MAX) };
}

/** What is left of the fixed three steps without what failed and what is done, in a chain behind what is done; undefined when nothing is left. */
export function fallbackAnew(goal: string, around: Surroundings, before: Before, reason: string): Plan | undefined {
  const left = FIXED_STEPS.filter(
    ({ capability }) => !before.failed.has(capability) && !before.finished.has(capability),
  );
  if (left.length === 0) return undefined;
  const tasks = left.map(({ capability, verb }, position) =>
    taskOf(around, {
      position,
      capability,
      description: clip(`${verb}: ${goal}`, STEP_DESCRIPTION_MAX),
      after: chained(position),
      before: position === 0 ? [...before.tasks] : [],
    }),
  );
  return { tasks, source: 'fallback', reason: clip(reason, STEP_DESCRIPTION_MAX) };
}

/** Capabilities a plan may use: those that are alive, except planning itself, which would let a plan call for plans without end. */
export function plannable(capabilities: Iterable<string>): ReadonlySet<string> {
  const usable = new Set(capabilities);
  usable.delete(PLAN_CAPABILITY);
  return usable;
}

/** A step under the name that code gave it by its place in the model's list: from here on no id of a model is in use. */
interface Resolved {
  readonly taskId: string;
  readonly dependencies: readonly string[];
  /** Tasks that were there before this plan. */
  readonly before: readonly string[];
  readonly step: ProposedStep;
}

type Resolution =
  | { readonly ok: true; readonly nodes: readonly Resolved[] }
  | { readonly ok: false; readonly problem: PlanProblem };

function resolve(steps: readonly ProposedStep[], { capabilities: alive, before }: Surroundings): Resolution {
  const refuse = (code: PlanProblemCode, message: string): Resolution => ({ ok: false, problem: { code, message } });
  if (steps.length === 0) return refuse('no_steps', 'expected at least one step, got none');
  if (steps.length > STEPS_MAX) {
    return refuse('too_many_steps', `expected at most ${STEPS_MAX} steps, got ${steps.length}`);
  }
  const usable = plannable(alive);
  // A Map, never an object: an id such as `__proto__` is a word like any other.
  const names = new Map<string, string>();
  for (const [position, { id, capability }] of steps.entries()) {
    if (names.has(id)) return refuse('duplicate_step', `expected each step id once, got ${quoted(id)} twice`);
    if (before?.tasks.has(id) === true)
      return refuse(
        'duplicate_step',
        `expected new step ids, got ${quoted(id)}, which is a task that was there before`,
      );
    names.set(id, taskIdAt(position));
    if (!usable.has(capability)) {
      const expected = `step ${quoted(id)}: expected a capability out of ${[...usable].join(', ')}`;
      return refuse('unknown_capability', `${expected}; got ${quoted(capability)}`);
    }
  }
  const nodes: Resolved[] = [];
  for (const [position, step] of steps.entries()) {
    const dependencies = new Set<string>();
    const earlier = new Set<string>();
    for (const dependency of step.dependsOn) {
      const name = names.get(dependency);
      if (name === undefined && before?.tasks.has(dependency) === true) {
        earlier.add(dependency);
        continue;
      }
      if (name === undefined) {
        const problem = `step ${quoted(step.id)} depends on ${quoted(dependency)}, which is not the id of a step`;
        return refuse('unknown_dependency', problem);
      }
      dependencies.add(name);
    }
    nodes.push({ taskId: taskIdAt(position), dependencies: [...dependencies], before: [...earlier], step });
  }
  return { ok: true, nodes };
}

/** The fault as the model can mend it: with its own ids. After `resolve` only a cycle is left to find. */
function inWordsOfTheModel(fault: GraphFault, nodes: readonly Resolved[]): PlanProblem {
  if (fault.code !== 'cyclic_dependencies')
    throw new Error(`expected a graph that is at most cyclic: ${fault.message}`);
  const ids = new Map(nodes.map((node) => [node.taskId, quoted(node.step.id)]));
  const circle = fault.cycle.map((name) => ids.get(name)).join(' -> ');
  return { code: fault.code, message: `steps wait for each other in a circle: ${circle}` };
}

function taskIdAt(position: number): string {
  return `t${position + 1}`;
}

function chained(position: number): number[] {
  return position === 0 ? [] : [position - 1];
}

/** Sequential: each step waits for the one before. Parallel: nothing waits but the last step, which joins the others. Else: as planned. */
function shaped(pattern: Pattern, position: number, steps: number, planned: number[]): number[] {
  switch (pattern) {
    case 'sequential':
      return chained(position);
    case 'parallel':
      return position === steps - 1 ? Array.from({ length: position }, (_, earlier) => earlier) : [];
    case 'orchestrator':
    case 'peer-to-peer':
      return planned;
  }
}

interface Placed {
  readonly position: number;
  readonly capability: string;
  readonly description: string;
  /** Positions of the steps that it waits for. */
  readonly after: readonly number[];
  readonly before: readonly string[];
}

function taskOf(around: Surroundings, { position, capability, description, after, before }: Placed): TaskSpec {
  const vote = capability === 'code' ? voteAmong(around.reviewers) : undefined;
  const nameAt = (place: number): string => `${around.before?.prefix ?? ''}${taskIdAt(place)}`;
  const dependencies = [...before, ...after.map(nameAt)];
  const joins = around.pattern === 'parallel' && dependencies.length > 0;
  return {
    taskId: nameAt(position),
    capability,
    description,
    dependencies,
    ...(joins && around.continues ? { tolerant: true as const } : {}),
    ...(vote === undefined ? {} : { vote }),
  };
}

/**
 * What was made is voted on when there are enough reviewers while the plan is made. The quorum is fixed here: if they are gone when the round
 * is held, it ends with `insufficient_votes` instead of passing on the word of whoever is left.
 */
function voteAmong(reviewers: number): TaskVote | undefined {
  if (reviewers < REVIEWERS_MIN) return undefined;
  const quorum = Math.floor(reviewers / 2) + 1;
  return { capability: REVIEW_CAPABILITY, rule: { method: 'majority', quorum }, onReject: 'rework', maxReworks: 1 };
}

function wordsOf({ title, description }: ProposedStep): string {
  const parts = [title.trim(), description.trim()].filter((part) => part !== '');
  return clip(parts.join(': '), STEP_DESCRIPTION_MAX);
}

/** At most `length` UTF-16 units; half a character at the cut is replaced, so that the text stays valid in UTF-8. */
function clip(text: string, length: number): string {
  return text.slice(0, length).toWellFormed();
}

function quoted(word: string): string {
  return JSON.stringify(clip(word, 64));
}
