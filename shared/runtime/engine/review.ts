/** A task's result before its voters (the rule is `task.vote`): it counts only when they approve it. */
import { createHash } from 'node:crypto';
import { faultOf } from '../../core/recount.ts';
import { decode, encode } from '../../protocol/codec.ts';
import type { GoalRecord } from '../../protocol/goal.ts';
import { TRACEPARENT_HEADER } from '../../protocol/headers.ts';
import type { Json } from '../../protocol/ids.ts';
import type { TaskRecord } from '../../protocol/task.ts';
import { RoundRecord, type TaskVote } from '../../protocol/vote.ts';
import { GOAL_OVER, HandlerError } from '../context.ts';
import { roundIds } from '../vote/identity.ts';
import type { HoldSpec } from '../vote/proposer.ts';
import type { Deps } from './deps.ts';
import type { Ledgers } from './ledgers.ts';
import { readGoal } from './records.ts';
import { inAll, talkOf } from './talk.ts';
import { resolved } from './values.ts';

export type Verdict =
  /** `unvoted`: nobody was there who could have voted. */
  | { readonly kind: 'approved'; readonly unvoted?: true }
  /** The voters decided against it. */
  | { readonly kind: 'rejected'; readonly reasons: readonly string[] }
  /** They could not decide, or were not there: a failed attempt, asked again later with the same result. */
  | { readonly kind: 'undecided'; readonly reason: string };

export type HoldRound = (spec: HoldSpec) => Promise<RoundRecord>;

const APPROVE = 'approve';
const REJECT = 'reject';
const ROUND_MS_MAX = 60_000;
const CONTEXT_BYTES_MAX = 200_000;
/** Rounds about one result that are looked at (I10). Each that ended undecided took an attempt of the task. */
const SERIES_MAX = 1_000;

export interface Reviewed {
  readonly verdict: Verdict;
  /** What the round said, all types together. */
  readonly messages: number;
  readonly bytes: number;
}

/** What is voted on. */
export interface Proposed {
  readonly result: Json;
  /** It was written down just now: nobody can have held a round about it. */
  readonly fresh: boolean;
}

interface Parts {
  readonly deps: Deps;
  readonly ledgers: Ledgers;
  readonly hold: HoldRound;
}

export async function review(
  { deps, ledgers, hold }: Parts,
  task: TaskRecord,
  vote: TaskVote,
  { result, fresh }: Proposed,
  dependencies: Readonly<Record<string, Json>>,
  signal: AbortSignal,
): Promise<Reviewed> {
  const { goalId, taskId } = task;
  const goal = await readGoal(deps, goalId);
  const full = await contextOf(deps, task, result, dependencies, goal?.record);
  const proposal = `Accept the result of task "${taskId}": ${task.description}`.slice(0, 4_000);
  const options = [APPROVE, REJECT];
  const roundIdOf = roundIds({ goalId, proposal, options, context: full });
  const standing = fresh ? { series: 1 } : await standingOf(deps, vote, roundIdOf);
  if ('verdict' in standing) return { verdict: standing.verdict, messages: 0, bytes: 0 };

  const roundId = roundIdOf(standing.series);
  const roster = await rosterOf(deps, vote, roundId);
  // The goal of peers is met by the word of whoever answered when there is nobody to judge it, and its record says so.
  if (task.peer !== undefined && roster.length === 0)
    return { verdict: { kind: 'approved', unvoted: true }, messages: 0, bytes: 0 };
  const context = await inlineOrReferred(deps, full);
  const request = {
    roundId,
    goalId,
    taskId,
    capability: vote.capability,
    proposal,
    context,
    options,
    rule: vote.rule,
    roster,
    deadlineMs: Math.max(1, Math.min(ROUND_MS_MAX, task.timeoutMs, Date.parse(task.deadline) - deps.clock.now())),
    correlationId: task.correlationId,
  };
  const talk = talkOf(roster.length, encode(request).length, vote.rule.maxRounds ?? 1);
  const holder = { agentId: deps.agentId, taskId: roundId, attempt: task.attempt };
  const exchange = await ledgers.exchange(goalId, goal?.record.budget ?? {}, holder, talk.most);
  if (!exchange.granted) throw refusedError(exchange);
  const traceparent = deps.tracing.attempt(task, task.attempt);
  try {
    const record = await hold({
      ...request,
      ...(traceparent === undefined ? {} : { headers: { [TRACEPARENT_HEADER]: traceparent } }),
      signal,
      onSaid: talk.onSaid,
      fresh: true,
    });
    const refused = record.consensus ? undefined : await ledgers.refusal(goalId);
    // Voters that may not ask their models abstain; no other round could be decided either.
    if (refused !== undefined) throw new HandlerError('budget_exceeded', refused.message, { retry: false });
    const fault = faultOf(record, vote.rule);
    // Only a record that somebody else wrote can be at fault.
    const verdict: Verdict = fault === undefined ? verdictOf(record) : { kind: 'undecided', reason: fault };
    return { verdict, ...inAll(talk.said()) };
  } finally {
    // Also what was said in a round that came to nothing.
    await exchange.settle(talk.said());
  }
}

function refusedError({ limit, message }: { readonly limit: string; readonly message: string }): HandlerError {
  return new HandlerError(limit === 'ended' ? GOAL_OVER : 'budget_exceeded', message, { retry: false });
}

/**
 * An agent that took this task over finds what its predecessor's voters decided on the same result, and holds a round that was not decided, under the
 * same id, so that ballots given to the predecessor count (I7). After each round that ended undecided, or whose record its own ballots do not bear
 * out, comes the next.
 */
async function standingOf(
  deps: Deps,
  vote: TaskVote,
  roundIdOf: (series: number) => string,
): Promise<{ readonly verdict: Verdict } | { readonly series: number }> {
  for (let series = 1; series <= SERIES_MAX; series += 1) {
    const stored = await deps.store.read(deps.subjects.roundKey(roundIdOf(series)));
    if (stored === undefined) return { series };
    const decided = decode(RoundRecord, stored.data);
    if (decided.ok && decided.value.consensus && faultOf(decided.value, vote.rule) === undefined)
      return { verdict: verdictOf(decided.value) };
  }
  throw new HandlerError('no_consensus', `expected a decision within ${SERIES_MAX} rounds about one result, got none`, {
    retry: false,
  });
}

function verdictOf(record: RoundRecord): Verdict {
  if (record.consensus && record.position === APPROVE) return { kind: 'approved' };
  const against = record.ballots.filter((ballot) => ballot.position === REJECT);
  const reasons = against.map((ballot) => `${ballot.agent}: ${ballot.rationale ?? 'no reason given'}`);
  if (record.consensus) return { kind: 'rejected', reasons };
  return { kind: 'undecided', reason: record.reason ?? 'no_majority' };
}

/** Frozen from here on (I8). Voters are taken in an order that each round shuffles anew, so that it is not always the same few. */
async function rosterOf(deps: Deps, vote: TaskVote, roundId: string): Promise<string[]> {
  const rankOf = (agentId: string): string => createHash('sha256').update(`${roundId}\0${agentId}`).digest('hex');
  const present = (await deps.registry.list())
    .filter((agent) => agent.capabilities.includes(vote.capability) && agent.agentId !== deps.agentId)
    .map((agent) => ({ agent, rank: rankOf(agent.agentId) }))
    .sort((a, b) => a.rank.localeCompare(b.rank))
    .map(({ agent }) => agent);
  const chosen = deps.electors.choose(present, vote.rule, vote.voters);
  return chosen.map((voter) => voter.agentId).sort();
}

/** Everything that the voters judge by, the same whoever asks: it is what the round's id is made of. */
async function contextOf(
  deps: Deps,
  task: TaskRecord,
  result: Json,
  dependencies: Readonly<Record<string, Json>>,
  goal: GoalRecord | undefined,
): Promise<Json> {
  const [input, value, goalInput] = await Promise.all([
    resolved(deps, task.input),
    resolved(deps, result),
    resolved(deps, goal?.input),
  ]);
  const candidate = task.status === 'in_progress' ? task.candidate : undefined;
  const inOrder = Object.entries(dependencies).sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    description: task.description,
    input: input ?? null,
    result: value,
    dependencies: Object.fromEntries(inOrder),
    goal: { description: goal?.description ?? '', input: goalInput ?? null },
    reasons: [...(task.reasons ?? [])],
    rework: task.reworks ?? 0,
    salt: candidate?.salt ?? '',
  };
}

async function inlineOrReferred(deps: Deps, context: Json): Promise<Json> {
  const bytes = encode(context);
  return bytes.length <= CONTEXT_BYTES_MAX ? context : { $blob: await deps.blobs.put(bytes) };
}
