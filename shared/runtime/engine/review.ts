/** A task's result before its voters (the rule is `task.vote`): it counts only when they approve it. */
import { createHash } from 'node:crypto';
import type { RoundRecord, TaskVote, VoteRequest } from '../../protocol/vote.ts';
import type { TaskRecord } from '../../protocol/task.ts';
import { encode, parseTrusted } from '../../protocol/codec.ts';
import { TRACEPARENT_HEADER } from '../../protocol/headers.ts';
import type { Json } from '../../protocol/ids.ts';
import type { HoldSpec } from '../vote/proposer.ts';
import { GOAL_OVER, HandlerError } from '../context.ts';
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

export interface Reviewed {
  readonly verdict: Verdict;
  /** What the round said, all types together. */
  readonly messages: number;
  readonly bytes: number;
}

/** `attempt` tells rounds about one result apart when an earlier one ended undecided. */
function roundIdOf(task: TaskRecord, rework: number, attempt: number): string {
  const of = createHash('sha256').update(`${task.goalId}\0${task.taskId}`).digest('base64url').slice(0, 32);
  return `v-${of}-${rework}-${attempt}`;
}

export async function review(
  parts: { readonly deps: Deps; readonly ledgers: Ledgers; readonly hold: HoldRound },
  task: TaskRecord,
  vote: TaskVote,
  candidate: Json,
  dependencies: Readonly<Record<string, Json>>,
  signal: AbortSignal,
): Promise<Reviewed> {
  const { deps, ledgers, hold } = parts;
  const rework = task.reworks ?? 0;
  // An agent that took this task over after a crash finds the decision that its predecessor's voters made on the same result (I7).
  for (let earlier = 1; earlier < task.attempt; earlier += 1) {
    const stored = await deps.store.read(deps.subjects.roundKey(roundIdOf(task, rework, earlier)));
    const decided = stored === undefined ? undefined : parseTrusted<RoundRecord>(stored.data);
    if (decided?.consensus === true) return { verdict: verdictOf(decided), messages: 0, bytes: 0 };
  }
  const roundId = roundIdOf(task, rework, task.attempt);
  const goal = await readGoal(deps, task.goalId);
  const roster = await rosterOf(deps, vote, roundId);
  // The goal of peers is met by the word of whoever answered when there is nobody to judge it, and its record says so.
  if (task.peer !== undefined && roster.length === 0)
    return { verdict: { kind: 'approved', unvoted: true }, messages: 0, bytes: 0 };
  const context = await contextOf(
    deps,
    task,
    candidate,
    dependencies,
    goal?.record.input,
    goal?.record.description ?? '',
  );
  const request = {
    roundId,
    goalId: task.goalId,
    taskId: task.taskId,
    capability: vote.capability,
    proposal: `Accept the result of task "${task.taskId}": ${task.description}`.slice(0, 4_000),
    context,
    options: [APPROVE, REJECT],
    rule: vote.rule,
    roster,
    deadlineMs: Math.max(1, Math.min(ROUND_MS_MAX, task.timeoutMs, Date.parse(task.deadline) - deps.clock.now())),
    correlationId: task.correlationId,
  };
  const talk = talkOf(roster.length, encode(request).length, vote.rule.maxRounds ?? 1);
  const holder = { agentId: deps.agentId, taskId: roundId, attempt: task.attempt };
  const exchange = await ledgers.exchange(task.goalId, goal?.record.budget ?? {}, holder, talk.most);
  if (!exchange.granted) throw refusedError(exchange);
  const traceparent = deps.tracing.attempt(task, task.attempt);
  try {
    const record = await hold({
      ...request,
      ...(traceparent === undefined ? {} : { headers: { [TRACEPARENT_HEADER]: traceparent } }),
      signal,
      onSaid: talk.onSaid,
    });
    const refused = record.consensus ? undefined : await ledgers.refusal(task.goalId);
    // Voters that may not ask their models abstain; no other round could be decided either.
    if (refused !== undefined) throw new HandlerError('budget_exceeded', refused.message, { retry: false });
    return { verdict: verdictOf(record), ...inAll(talk.said()) };
  } finally {
    // Also what was said in a round that came to nothing.
    await exchange.settle(talk.said());
  }
}

function refusedError({ limit, message }: { readonly limit: string; readonly message: string }): HandlerError {
  return new HandlerError(limit === 'ended' ? GOAL_OVER : 'budget_exceeded', message, { retry: false });
}

function verdictOf(record: RoundRecord): Verdict {
  if (record.consensus && record.position === APPROVE) return { kind: 'approved' };
  const against = record.ballots.filter((ballot) => ballot.position === REJECT);
  const reasons = against.map((ballot) => `${ballot.agent}: ${ballot.rationale ?? 'no reason given'}`);
  if (record.consensus) return { kind: 'rejected', reasons };
  return { kind: 'undecided', reason: record.reason ?? 'no_majority' };
}

/** All present voters, or `voters` of them, chosen by a hash of the round so that it is not always the same few. Frozen from here on (I8). */
async function rosterOf(deps: Deps, vote: TaskVote, roundId: string): Promise<string[]> {
  const present = (await deps.registry.list()).filter(
    (agent) => agent.capabilities.includes(vote.capability) && agent.agentId !== deps.agentId,
  );
  const ranked = present.map(({ agentId }) => ({
    agentId,
    rank: createHash('sha256').update(`${roundId}\0${agentId}`).digest('hex'),
  }));
  const chosen = ranked.sort((a, b) => a.rank.localeCompare(b.rank)).slice(0, vote.voters ?? ranked.length);
  return chosen.map((voter) => voter.agentId).sort();
}

async function contextOf(
  deps: Deps,
  task: TaskRecord,
  candidate: Json,
  dependencies: Readonly<Record<string, Json>>,
  goalInput: Json | undefined,
  goalDescription: string,
): Promise<VoteRequest['context']> {
  const full = {
    description: task.description,
    input: (await resolved(deps, task.input)) ?? null,
    result: await resolved(deps, candidate),
    dependencies,
    goal: { description: goalDescription, input: (await resolved(deps, goalInput)) ?? null },
    reasons: task.reasons ?? [],
    rework: task.reworks ?? 0,
  };
  const bytes = encode(full);
  if (bytes.length <= CONTEXT_BYTES_MAX) return parseTrusted<Json>(bytes);
  return { $blob: await deps.blobs.put(bytes) };
}
