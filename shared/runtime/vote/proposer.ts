/**
 * Holds a vote round: asks its voters, and stores the decision. Anyone may; two proposers of one round get one decision (I7), and a
 * proposer that dies leaves either its decision or a round that can be held again.
 */
import { constitute, type Electorate } from '../../core/quorum.ts';
import type { DecidedRound } from '../../core/round.ts';
import { encode } from '../../protocol/codec.ts';
import { isId, timestamp } from '../../protocol/ids.ts';
import { fitVoteRequest, type RoundRecord, type VoteRequest, type VoteRule } from '../../protocol/vote.ts';
import { collect, type CollectDeps, type OnSaid, RoundRefused } from './collect.ts';
import {
  bytesAtMost,
  type DecisionDeps,
  largestRecord,
  MESSAGE_BYTES_MAX,
  readDecision,
  storeDecision,
} from './decision.ts';
import { contextAfter, discussionId } from './discussion.ts';

export interface ProposerDeps extends CollectDeps, DecisionDeps {
  /** Who holds the round, stored with its decision; it need not be in the roster. */
  readonly agentId: string;
}

export interface HoldSpec {
  readonly roundId: string;
  readonly goalId?: string;
  readonly taskId?: string;
  /** The voters' capability: whom the request reaches. */
  readonly capability: string;
  readonly proposal: string;
  readonly context?: VoteRequest['context'];
  readonly options: readonly string[];
  readonly rule: VoteRule;
  /** Who may vote, frozen from here on (I8). */
  readonly roster: readonly string[];
  /** Milliseconds from now within which everything is decided, all discussions together. */
  readonly deadlineMs: number;
  readonly correlationId: string;
  /** Sent with every request, e.g. `traceparent`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Aborting ends the round without a decision. */
  readonly signal: AbortSignal;
  readonly onSaid?: OnSaid;
  /** The caller knows that no decision stands: it has looked, or the id is new. Spares the look before the voters are asked. */
  readonly fresh?: boolean;
}

/** A timer of Node counts to 2^31 ms; nobody waits for a vote longer than a goal may live. */
const DEADLINE_MS_MAX = 7 * 24 * 60 * 60 * 1000;

/**
 * Holds one round and resolves with its decision, which may be another proposer's: the proposal and the options in the record are those of
 * whoever stored it first, so a round id must name one proposal. A decision that stands already is returned without asking anybody.
 *
 * With `rule.maxRounds` over 1 an undecided round is discussed again: see `discussion.ts` for the ids and the context. Each discussion gets an
 * equal share of the time that is left. The record holds the ballots of the last one.
 *
 * @throws RoundRefused when the spec is unusable; the signal's reason; whatever the bus or the store throws, and then nothing is decided
 *   as far as this proposer knows: hold the same round again.
 */
export async function holdRound(deps: ProposerDeps, spec: HoldSpec): Promise<RoundRecord> {
  const { clock, observer } = deps;
  const openedAt = clock.now();
  const { request, electorate, base } = prepare(spec, openedAt);
  const discussions = spec.rule.maxRounds ?? 1;
  const endsAt = openedAt + spec.deadlineMs;

  let asked: VoteRequest = request;
  for (let number = 1; ; number += 1) {
    const standing = number === 1 && spec.fresh === true ? undefined : await readDecision(deps, spec.roundId);
    if (standing !== undefined) return standing;

    const now = clock.now();
    const deadlineAt = Math.floor(now + (endsAt - now) / (discussions - number + 1));
    const { capability, headers, signal, onSaid } = spec;
    const collected = await collect(deps, {
      request: { ...asked, deadline: timestamp(deadlineAt) },
      electorate,
      capability,
      deadlineAt,
      number,
      headers,
      signal,
      onSaid,
    });
    const { round } = collected;
    const next = number < discussions ? discussionAfter(request, round, number + 1, endsAt) : undefined;
    if (next !== undefined) {
      collected.leave();
      asked = next;
      continue;
    }

    const settled = await storeDecision(deps, recordOf(base, round), deps.agentId).catch((error: unknown) => {
      // Undecided: whoever holds the round again wants the ballots of those who still think.
      collected.leave();
      throw error;
    });
    collected.release();
    const { record, created } = settled;
    const outcome = record.consensus ? 'consensus' : (record.reason ?? 'no_majority');
    observer.decided({ record, method: record.rule.method, outcome, durationMs: clock.now() - openedAt, created });
    return record;
  }
}

/** The request of the next discussion; undefined when the round is decided, or when talking on is of no use. */
function discussionAfter(
  request: VoteRequest,
  round: DecidedRound,
  number: number,
  endsAt: number,
): VoteRequest | undefined {
  const { outcome, ballots, decidedAt } = round;
  // Without a ballot there is nothing to discuss; nor is there when the quorum is out of reach, and then nobody was asked.
  if (outcome.consensus || ballots.length === 0 || decidedAt >= endsAt) return undefined;
  const roundId = discussionId(request.roundId, number);
  const next = { ...request, roundId, context: contextAfter(request.context, ballots) };
  // What was said does not fit into one message beside the proposal: the undecided outcome stands.
  return encode(next).byteLength <= MESSAGE_BYTES_MAX ? next : undefined;
}

interface Prepared {
  readonly request: VoteRequest;
  readonly electorate: Electorate;
  /** The record as it will be, but for the decision. */
  readonly base: RecordBase;
}

type RecordBase = Omit<RoundRecord, 'ballots' | 'consensus' | 'position' | 'votes' | 'scores' | 'reason' | 'decidedAt'>;

/** Everything that can be wrong with a round is found here, before anybody is asked. */
function prepare(spec: HoldSpec, openedAt: number): Prepared {
  const { deadlineMs, taskId, capability } = spec;
  if (!(deadlineMs > 0 && deadlineMs <= DEADLINE_MS_MAX)) {
    throw new RoundRefused(`deadlineMs: expected more than 0 and at most ${DEADLINE_MS_MAX}, got ${deadlineMs}`);
  }
  if (!isId(capability)) throw new RoundRefused(`capability: expected an id, got ${JSON.stringify(capability)}`);
  if (taskId !== undefined && !isId(taskId))
    throw new RoundRefused(`taskId: expected an id, got ${JSON.stringify(taskId)}`);
  const checked = fitVoteRequest({ ...spec, deadline: timestamp(openedAt + deadlineMs) });
  if (!checked.ok) throw new RoundRefused(checked.message);
  const { rule, goalId, proposal, correlationId } = checked.value;
  const constituted = constitute(rule, checked.value.roster, checked.value.options);
  if (!constituted.ok) throw new RoundRefused(constituted.message);

  const { electorate } = constituted;
  const roster = [...electorate.roster];
  const options = [...electorate.options];
  // A request may address only a part of the roster, so the quorum that follows from the whole of it is said in numbers.
  const request = { ...checked.value, roster, options, rule: { ...rule, quorum: electorate.quorum } };
  const bytes = bytesAtMost(request);
  if (bytes > MESSAGE_BYTES_MAX || request.context !== undefined)
    refuseOver('the request', request, 'shorten the proposal or the context, or refer to a stored value');
  const base = {
    roundId: spec.roundId,
    ...(goalId === undefined ? {} : { goalId }),
    ...(taskId === undefined ? {} : { taskId }),
    proposal,
    options,
    rule,
    roster,
    correlationId,
    openedAt: timestamp(openedAt),
  };
  if (bytes > MESSAGE_BYTES_MAX) {
    const largest = largestRecord({ ...base, ballots: [], consensus: false, decidedAt: base.openedAt });
    const remedy = 'name fewer voters or options, or shorten the proposal';
    refuseOver(`the decision of ${roster.length} voters`, largest, remedy);
  }
  return { request, electorate, base };
}

function refuseOver(what: string, message: unknown, remedy: string): void {
  const bytes = encode(message).byteLength;
  if (bytes > MESSAGE_BYTES_MAX) {
    throw new RoundRefused(`${what} may take ${bytes} bytes, expected at most ${MESSAGE_BYTES_MAX}: ${remedy}`);
  }
}

function recordOf(base: RecordBase, { outcome, ballots, decidedAt }: DecidedRound): RoundRecord {
  return {
    ...base,
    ballots: [...ballots],
    consensus: outcome.consensus,
    ...(outcome.consensus ? { position: outcome.position, votes: outcome.votes } : { reason: outcome.reason }),
    ...(outcome.scores === undefined ? {} : { scores: { ...outcome.scores } }),
    decidedAt: timestamp(decidedAt),
  };
}
