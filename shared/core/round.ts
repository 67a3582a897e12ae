/**
 * One vote round as a machine: `(state, input) -> { state, effects }`, total, without I/O. The caller sends what `ask` says, reports what
 * `rejected` says, and stores what `decided` says.
 *
 *   open --ballot that settles the outcome, or deadline--> decided
 *
 * The roster is frozen when the round opens and each voter counts once, by the first of its ballots that is valid (I8). A decided round
 * never changes: whatever comes after is `late` (I7).
 *
 * `ahead-by-k` asks in waves: always the fewest further voters that let those who were asked reach the quorum and the lead. A wave waits
 * for its voters; silent ones hold it up at most until `nudge`, which asks everybody who has not answered. The other methods ask the
 * whole roster at once. So every voter is asked at most twice (I10).
 */
import type { Decoded } from '../protocol/codec.ts';
import { ABSTAIN, type Ballot, type VoteRule } from '../protocol/vote.ts';
import { constitute, type Electorate, judge, type Outcome, shortfall } from './quorum.ts';

export interface RoundSpec {
  readonly roundId: string;
  readonly options: readonly string[];
  readonly rule: VoteRule;
  readonly roster: readonly string[];
  /** Milliseconds since the epoch. */
  readonly deadlineAt: number;
}

interface Round {
  readonly roundId: string;
  readonly electorate: Electorate;
  readonly deadlineAt: number;
  /** The ballots that count, in order of arrival. */
  readonly ballots: readonly Ballot[];
}

export interface OpenRound extends Round {
  readonly phase: 'open';
  /** How many of the roster, from its beginning, were asked. */
  readonly asked: number;
  readonly nudged: boolean;
}

export interface DecidedRound extends Round {
  readonly phase: 'decided';
  readonly outcome: Outcome;
  readonly decidedAt: number;
}

export type RoundState = OpenRound | DecidedRound;

/** `at`: milliseconds since the epoch, by the clock of the proposer; what a ballot says about time is not trusted. */
export type RoundInput =
  /** `token`: the last token of the subject, which the broker lets only that agent use. */
  | { readonly type: 'ballot'; readonly at: number; readonly token: string; readonly ballot: Decoded<Ballot> }
  | { readonly type: 'nudge'; readonly at: number }
  | { readonly type: 'deadline'; readonly at: number };

export type RejectReason =
  | 'malformed'
  | 'wrong_round'
  | 'agent_mismatch'
  | 'off_roster'
  | 'unknown_position'
  /** The ballot that counts, once more. */
  | 'duplicate'
  /** Another ballot of a voter whose first one counts. */
  | 'contradiction'
  | 'late';

export type RoundEffect =
  /** `again`: they were asked before, or a wave would have come to them later. */
  | { readonly type: 'ask'; readonly voters: readonly string[]; readonly again: boolean }
  | { readonly type: 'counted'; readonly ballot: Ballot }
  | { readonly type: 'rejected'; readonly reason: RejectReason; readonly token: string; readonly detail: string }
  | { readonly type: 'decided'; readonly outcome: Outcome };

export interface RoundStep {
  readonly state: RoundState;
  readonly effects: readonly RoundEffect[];
}

export type Opened = ({ readonly ok: true } & RoundStep) | { readonly ok: false; readonly message: string };

/** Opens a round: whom to ask first, or its decision when no answer could change it, or what is wrong with the spec. */
export function openRound(spec: RoundSpec, at: number): Opened {
  const constituted = constitute(spec.rule, spec.roster, spec.options);
  return constituted.ok ? { ok: true, ...openFor(constituted.electorate, spec, at) } : constituted;
}

/** The same for an electorate that is known. */
export function openFor(
  electorate: Electorate,
  { roundId, deadlineAt }: Pick<RoundSpec, 'roundId' | 'deadlineAt'>,
  at: number,
): RoundStep {
  return proceed({ phase: 'open', roundId, electorate, deadlineAt, ballots: [], asked: 0, nudged: false }, at);
}

export function advance(state: RoundState, input: RoundInput): RoundStep {
  switch (input.type) {
    case 'ballot':
      return receive(state, input);
    case 'nudge':
      return nudge(state, input.at);
    case 'deadline':
      return state.phase === 'open' ? close(state, input.at) : { state, effects: [] };
  }
}

function receive(state: RoundState, input: Extract<RoundInput, { type: 'ballot' }>): RoundStep {
  const { at, token } = input;
  if (state.phase === 'decided' || at >= state.deadlineAt) {
    const late: RoundEffect = { type: 'rejected', reason: 'late', token, detail: 'the round had ended when it came' };
    // A process that was frozen past the deadline may meet ballots before its own timer; they must not count.
    const { state: after, effects } = advance(state, { type: 'deadline', at });
    return { state: after, effects: [late, ...effects] };
  }
  const checked = check(state, token, input.ballot);
  if ('reason' in checked) return { state, effects: [{ type: 'rejected', token, ...checked }] };
  const { ballot } = checked;
  const { state: next, effects } = proceed({ ...state, ballots: [...state.ballots, ballot] }, at);
  return { state: next, effects: [{ type: 'counted', ballot }, ...effects] };
}

type Checked = { readonly ballot: Ballot } | { readonly reason: RejectReason; readonly detail: string };

function check(state: OpenRound, token: string, decoded: Decoded<Ballot>): Checked {
  if (!decoded.ok) return { reason: 'malformed', detail: decoded.message };
  const ballot = decoded.value;
  const { roster, options } = state.electorate;
  if (ballot.roundId !== state.roundId) {
    return {
      reason: 'wrong_round',
      detail: `expected a ballot of round ${state.roundId}, got one of ${ballot.roundId}`,
    };
  }
  if (ballot.agent !== token) {
    return { reason: 'agent_mismatch', detail: `it says agent ${ballot.agent}, but came under the token ${token}` };
  }
  if (!roster.includes(token)) return { reason: 'off_roster', detail: `${token} is not in the roster of this round` };
  if (ballot.position !== ABSTAIN && !options.includes(ballot.position)) {
    return {
      reason: 'unknown_position',
      detail: `expected ${ABSTAIN} or one of ${options.join(', ')}, got ${ballot.position}`,
    };
  }
  const first = state.ballots.find((counted) => counted.agent === token);
  if (first === undefined) return { ballot };
  if (first.position === ballot.position)
    return { reason: 'duplicate', detail: `${token} has voted ${first.position} already` };
  return { reason: 'contradiction', detail: `${token} voted ${first.position} first, then ${ballot.position}` };
}

/** Ends the round when its outcome is settled; otherwise asks whoever has to be asked for that. */
function proceed(state: OpenRound, at: number): RoundStep {
  const { status, outcome } = judge(state.electorate, state.ballots);
  if (status !== 'pending') return closeWith(state, at, outcome);
  const { roster, method } = state.electorate;
  if (state.asked === roster.length) return { state, effects: [] };
  const answered = new Set(state.ballots.map((ballot) => ballot.agent));
  const silent = roster.slice(0, state.asked).filter((voter) => !answered.has(voter)).length;
  const wanted = method === 'ahead-by-k' ? shortfall(state.electorate, state.ballots, silent) : roster.length;
  const voters: string[] = [];
  let asked = state.asked;
  for (const voter of roster.slice(state.asked)) {
    if (voters.length === wanted) break;
    asked += 1;
    if (!answered.has(voter)) voters.push(voter);
  }
  const effects: RoundEffect[] = voters.length === 0 ? [] : [{ type: 'ask', voters, again: false }];
  return { state: { ...state, asked }, effects };
}

function nudge(state: RoundState, at: number): RoundStep {
  if (state.phase === 'decided' || state.nudged) return { state, effects: [] };
  if (at >= state.deadlineAt) return close(state, at);
  const { roster } = state.electorate;
  const answered = new Set(state.ballots.map((ballot) => ballot.agent));
  const voters = roster.filter((voter) => !answered.has(voter));
  return { state: { ...state, asked: roster.length, nudged: true }, effects: [{ type: 'ask', voters, again: true }] };
}

function close(state: OpenRound, at: number): RoundStep {
  return closeWith(state, at, judge(state.electorate, state.ballots).outcome);
}

function closeWith(state: OpenRound, at: number, outcome: Outcome): RoundStep {
  const { roundId, electorate, deadlineAt, ballots } = state;
  const decided: DecidedRound = { phase: 'decided', roundId, electorate, deadlineAt, ballots, outcome, decidedAt: at };
  return { state: decided, effects: [{ type: 'decided', outcome }] };
}
