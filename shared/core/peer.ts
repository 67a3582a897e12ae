/**
 * The pattern without a plan, as rules: what follows from the end of each of its tasks, and what of an agent's words about the next step can be done.
 * One task at a time has the goal in hand: an auction, then the work of whoever won it, then, unless that answered, the next auction.
 *
 *   auction --award--> work --answer--> (the goal's result)
 *                        |  \--hand_on--> auction
 *                        |  \--split----> parts, and an auction that waits for them, or does without those that fail (`repair.ts`)
 *                        \--its agent is gone--> auction (the work again)
 */
import type { ErrorInfo } from '../protocol/goal.ts';
import { HOPS_MAX } from '../protocol/message.ts';
import { type Award, NOTE_MAX, PARTS_MAX, type Peer, type Step } from '../protocol/peer.ts';
import type { GraphTask } from '../protocol/plan.ts';
import { AUCTION_CAPABILITY, REVIEW_CAPABILITY } from '../protocol/subjects.ts';
import type { EndedTask, TaskRecord } from '../protocol/task.ts';
import type { TaskVote } from '../protocol/vote.ts';
import type { Json } from '../protocol/ids.ts';
import { delegationCycle, type Handing, wayOf } from './loops.ts';

/** Error code of work whose agent cannot be reached: it is announced anew. */
export const ASSIGNEE_GONE = 'assignee_gone';

/** An auction without an offer is held again, later and later; agents may come. */
const AUCTION_ATTEMPTS = 100;
const AUCTION_TIMEOUT_MS = 30_000;
const DESCRIPTION_MAX = 30_000;
/** Whoever is there to review says whether the goal is met. */
const GOAL_VOTE: TaskVote = {
  capability: REVIEW_CAPABILITY,
  rule: { method: 'majority' },
  onReject: 'rework',
  maxReworks: 2,
};

/** What its tasks need to know of a goal. */
export interface PeerGoal {
  readonly description: string;
  readonly input?: Json | undefined;
  readonly onTaskFailure: 'fail' | 'continue';
}

/** What goes from hand to hand: everything that was done for the goal, and what failed. */
type Before = Pick<GraphTask, 'dependencies' | 'failures'>;

export type PeerGrowth =
  | { readonly ok: true; readonly replaces: readonly string[]; readonly tasks: readonly GraphTask[] }
  /** The goal cannot go on. */
  | { readonly ok: false; readonly error: ErrorInfo };

/** The one task that a peer-to-peer goal begins with. */
export function firstAuction(description: string): GraphTask {
  return auctionOf({ role: 'auction', turn: 1, hops: 0 }, description, { dependencies: [] });
}

function auctionOf(peer: Peer, description: string, before: Before): GraphTask {
  return {
    taskId: `a${peer.turn}`,
    capability: AUCTION_CAPABILITY,
    description,
    ...before,
    maxAttempts: AUCTION_ATTEMPTS,
    timeoutMs: AUCTION_TIMEOUT_MS,
    peer,
  };
}

/** What was done for the goal before `task`, in order; of work its own auction is left out. */
export function doneBefore(task: TaskRecord): readonly string[] {
  return task.peer?.role === 'work' ? task.dependencies.slice(1) : task.dependencies;
}

/** What whoever comes after these tasks is given. A part that failed is named to the end: the answer is without it, whoever gives it. */
function givenOn({ failures }: TaskRecord, dependencies: readonly string[]): Before {
  return { dependencies: [...dependencies], ...(failures === undefined ? {} : { failures }) };
}

/** What a task was told beside the words of its goal, which it shares with all others. */
export function toldBeside(
  goal: Pick<PeerGoal, 'description'>,
  { peer, description }: Pick<TaskRecord, 'peer' | 'description'>,
): string {
  const shared = clip(goal.description, DESCRIPTION_MAX);
  const own = peer !== undefined && description.startsWith(shared) ? description.slice(shared.length).trim() : '';
  return own === '' ? description : own;
}

/**
 * What becomes of the graph when `task` ends; undefined: nothing. `award`: the result of an auction. `trail`: the work that was done before, in order:
 * it says whether the goal goes in circles, and which.
 */
export function growthOfPeer(
  task: EndedTask,
  goal: PeerGoal,
  award: Award | undefined,
  trail: readonly Handing[],
): PeerGrowth | undefined {
  const { peer } = task;
  if (peer === undefined) return undefined;
  if (peer.role === 'auction' && award !== undefined)
    return { ok: true, replaces: [], tasks: [workOf(task, goal, award)] };
  if (peer.role !== 'work') return undefined;
  if (task.status === 'cancelled') return againOf(task, peer);
  if (task.status !== 'completed' || task.step === undefined || task.step.kind === 'answer') return undefined;
  const way = [...trail, task];
  const cycle = peer.hops >= HOPS_MAX ? tooManyHops(task, way) : delegationCycle(way);
  if (cycle !== undefined) return { ok: false, error: cycle };
  return task.step.kind === 'hand_on' ? handedOn(task, peer, goal, task.step) : split(task, peer, goal, task.step);
}

/** The auction is the work's first dependency, everything that was done before the rest. */
function workOf(auction: EndedTask, goal: PeerGoal, award: Award): GraphTask {
  const { turn, hops, capability } = auction.peer ?? { turn: 1, hops: 0 };
  return {
    taskId: `w${turn}`,
    capability: award.capability,
    assignee: award.agentId,
    description: auction.description,
    ...(goal.input === undefined ? {} : { input: goal.input }),
    ...givenOn(auction, [auction.taskId, ...auction.dependencies]),
    vote: GOAL_VOTE,
    peer: { role: 'work', turn, hops, ...(capability === undefined ? {} : { capability }) },
  };
}

/** The same work for somebody else: the one that had it is not asked again. */
function againOf(task: EndedTask, peer: Peer): PeerGrowth {
  const excluded = task.assignee === undefined ? [] : [task.assignee];
  const next: Peer = { ...peer, role: 'auction', turn: peer.turn + 1, excluded };
  return {
    ok: true,
    replaces: [task.taskId],
    tasks: [auctionOf(next, task.description, givenOn(task, doneBefore(task)))],
  };
}

function handedOn(task: EndedTask, peer: Peer, goal: PeerGoal, step: Extract<Step, { kind: 'hand_on' }>): PeerGrowth {
  const next: Peer = { role: 'auction', turn: peer.turn + 1, hops: peer.hops + 1, capability: step.capability };
  const before = givenOn(task, [...doneBefore(task), task.taskId]);
  return { ok: true, replaces: [], tasks: [auctionOf(next, noted(goal, task, step.note), before)] };
}

function split(task: EndedTask, peer: Peer, goal: PeerGoal, step: Extract<Step, { kind: 'split' }>): PeerGrowth {
  const { turn } = peer;
  const hops = peer.hops + 1;
  const before = [...doneBefore(task), task.taskId];
  const parts = step.parts.map(
    ({ capability, note }, index): GraphTask => ({
      taskId: `p${turn}-${index + 1}`,
      capability,
      description: noted(goal, task, note),
      ...(goal.input === undefined ? {} : { input: goal.input }),
      dependencies: [...before],
      peer: { role: 'part', turn, hops },
    }),
  );
  const next: Peer = { role: 'auction', turn: turn + 1, hops, capability: step.capability };
  const waiting = givenOn(task, [...before, ...parts.map(({ taskId }) => taskId)]);
  const auction = auctionOf(next, noted(goal, task, step.note), waiting);
  const joins = goal.onTaskFailure === 'continue' ? { ...auction, tolerant: true as const } : auction;
  return { ok: true, replaces: [], tasks: [...parts, joins] };
}

function noted(goal: PeerGoal, task: EndedTask, note: string): string {
  const said = note.trim() === '' ? '' : `\n\n${task.capability} says: ${note.trim()}`;
  return `${clip(goal.description, DESCRIPTION_MAX)}${said}`;
}

function tooManyHops(task: EndedTask, trail: readonly Handing[]): ErrorInfo {
  return {
    code: 'too_many_hops',
    message: `expected the goal to be met within ${HOPS_MAX} hops, got one more hand-on from task ${task.taskId}; the way so far: ${wayOf(trail)}; narrow the goal, or take the agent out that hands on`,
  };
}

/** The next step as an agent, or its model, put it. Nothing in it is trusted. */
export interface ProposedStep {
  readonly step: string;
  readonly capability?: string | null | undefined;
  readonly note?: string | null | undefined;
  readonly parts?: readonly { readonly capability: string; readonly note: string }[] | null | undefined;
}

/** What the agent may do next. */
export interface Choices {
  /** Capabilities of the agents that are there: who could go on. */
  readonly capabilities: ReadonlySet<string>;
  /** Capabilities that may be asked a question. */
  readonly mayAsk: ReadonlySet<string>;
  readonly asksLeft: number;
}

export type Resolved =
  | { readonly ok: true; readonly step: Step }
  | { readonly ok: true; readonly ask: { readonly capability: string; readonly question: string } }
  /** For the model that gets a second try. */
  | { readonly ok: false; readonly problem: string };

/** Capabilities are matched against those that are there, and come from there: what a model says never becomes a subject. */
export function stepFrom(proposed: ProposedStep, choices: Choices): Resolved {
  const note = clip(proposed.note ?? '', NOTE_MAX);
  switch (proposed.step) {
    case 'answer':
      return { ok: true, step: { kind: 'answer' } };
    case 'ask': {
      if (choices.asksLeft <= 0) return { ok: false, problem: 'no further question may be asked' };
      const capability = matching(choices.mayAsk, proposed.capability);
      if (capability === undefined) return unknown('ask', choices.mayAsk, proposed.capability);
      if (note.trim() === '') return { ok: false, problem: 'expected the question in `note`, got nothing' };
      return { ok: true, ask: { capability, question: note } };
    }
    case 'hand_on': {
      const capability = matching(choices.capabilities, proposed.capability);
      if (capability === undefined) return unknown('hand_on', choices.capabilities, proposed.capability);
      return { ok: true, step: { kind: 'hand_on', capability, note } };
    }
    case 'split':
      return splitFrom(proposed, choices, note);
    default:
      return { ok: false, problem: `expected step answer, hand_on, ask or split, got ${quoted(proposed.step)}` };
  }
}

function splitFrom(proposed: ProposedStep, choices: Choices, note: string): Resolved {
  const wanted = proposed.parts ?? [];
  if (wanted.length === 0 || wanted.length > PARTS_MAX)
    return { ok: false, problem: `expected 1 to ${PARTS_MAX} parts, got ${wanted.length}` };
  const parts: { capability: string; note: string }[] = [];
  for (const part of wanted) {
    const capability = matching(choices.capabilities, part.capability);
    if (capability === undefined) return unknown('split', choices.capabilities, part.capability);
    parts.push({ capability, note: clip(part.note, NOTE_MAX) });
  }
  const capability = matching(choices.capabilities, proposed.capability);
  if (capability === undefined) return unknown('split', choices.capabilities, proposed.capability);
  return { ok: true, step: { kind: 'split', parts, capability, note } };
}

function matching(known: ReadonlySet<string>, said: string | null | undefined): string | undefined {
  return said === undefined || said === null ? undefined : [...known].find((capability) => capability === said);
}

function unknown(step: string, known: ReadonlySet<string>, said: string | null | undefined): Resolved {
  const got = said === undefined || said === null ? 'nothing' : quoted(said);
  return {
    ok: false,
    problem: `${step}: expected a capability out of ${[...known].join(', ') || '(none)'}, got ${got}`,
  };
}

/** At most `length` UTF-16 units; half a character at the cut is replaced, so that the text stays valid in UTF-8. */
function clip(text: string, length: number): string {
  return text.slice(0, length).toWellFormed();
}

function quoted(word: string): string {
  return JSON.stringify(clip(word, 64));
}
