/**
 * Who has won, who has lost, and whether it can still change: the four methods of a vote round as pure functions of the ballots
 * that count. An outcome is the winning position, or the reason why there is none. A verdict is settled once no answers of the
 * voters that are still outstanding (some of them, all of them, none of them) lead to another outcome.
 *
 *                no consensus                                                        consensus
 * majority       presence < quorum: insufficient_votes; two leaders with at least    the leading option has at least quorum votes
 *                quorum votes each: tie; otherwise: no_majority
 * weighted       presence < quorum: insufficient_votes; equal highest scores: tie;   the highest score
 *                no positive score, or less than `threshold` of the scores of all
 *                positions: no_majority
 * unanimous      an abstention or two positions: no_majority, at once; a member      every member of the roster took one and the
 *                that is not present: insufficient_votes                             same position
 * ahead-by-k     presence < quorum: insufficient_votes; equal leaders: tie;          the first option that is k votes ahead of every
 *                otherwise: no_majority                                              other while presence has reached the quorum
 *
 * Presence counts abstentions, a position never does. A quorum above the size of the roster is `insufficient_votes` from the start.
 */
import { ABSTAIN, type NoConsensusReason, type VoteMethod, type VoteRule } from '../protocol/vote.ts';
import { EVEN, holdsShare, isWeight, type Scales, scalesOf } from './weight.ts';

/** The lead that decides in `ahead-by-k` when the rule does not say: one vote, once presence has reached the quorum. */
const K_DEFAULT = 1;

/** Who may vote, on what and how, frozen when the round opens (I8). */
export interface Electorate {
  readonly method: VoteMethod;
  /** Distinct, in the order in which they are asked. */
  readonly roster: readonly string[];
  /** Distinct, at least one, never `abstain`. */
  readonly options: readonly string[];
  /** Ballots that must be present, abstentions included. */
  readonly quorum: number;
  readonly k: number;
  readonly threshold: number;
  readonly scales: Scales;
}

export type Constituted =
  | { readonly ok: true; readonly electorate: Electorate }
  | { readonly ok: false; readonly message: string };

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 1;
}

/** A round's rule, roster and options -> the electorate, or what is wrong with them. */
export function constitute(rule: VoteRule, roster: readonly string[], options: readonly string[]): Constituted {
  const refused = (message: string): Constituted => ({ ok: false, message });
  if (options.length === 0) return refused('options: expected at least one, got none');
  if (options.includes(ABSTAIN)) return refused(`options: "${ABSTAIN}" is presence, never an option; leave it out`);
  const { weights } = rule;
  const bad = weights && Object.entries(weights).find(([, weight]) => !isWeight(weight));
  if (bad !== undefined) return refused(`weights.${bad[0]}: expected a finite number of at least 0, got ${bad[1]}`);
  const voters = [...new Set(roster)];
  const { quorum = Math.floor(voters.length / 2) + 1, k = K_DEFAULT, threshold = 0 } = rule;
  if (!isCount(quorum)) return refused(`quorum: expected a whole number of at least 1, got ${quorum}`);
  if (!isCount(k)) return refused(`k: expected a whole number of at least 1, got ${k}`);
  if (!(threshold >= 0 && threshold <= 1)) return refused(`threshold: expected a share from 0 to 1, got ${threshold}`);
  return {
    ok: true,
    electorate: {
      method: rule.method,
      roster: voters,
      options: [...new Set(options)],
      quorum,
      k,
      threshold,
      scales: weights === undefined ? EVEN : scalesOf(weights),
    },
  };
}

/** What counts of a ballot. */
export interface Cast {
  readonly agent: string;
  /** An option of the electorate, or `abstain`. */
  readonly position: string;
}

/** `scores`: with the method `weighted` only, of every option. */
export type Outcome =
  | {
      readonly consensus: true;
      readonly position: string;
      readonly votes: number;
      readonly scores?: Readonly<Record<string, number>>;
    }
  | {
      readonly consensus: false;
      readonly reason: NoConsensusReason;
      readonly scores?: Readonly<Record<string, number>>;
    };

/** `pending` names the outcome if the round ended now. */
export interface Verdict {
  readonly status: 'won' | 'lost' | 'pending';
  readonly outcome: Outcome;
}

interface Finding {
  readonly result: { readonly position: string } | { readonly reason: NoConsensusReason };
  /** No answers that are still outstanding lead to another result. */
  readonly settled: boolean;
}

interface Lead<T> {
  readonly option: string;
  readonly top: T;
  /** The best of all other options; zero when there is no other. */
  readonly second: T;
}

interface Count {
  readonly present: number;
  /** Voters that have not cast. */
  readonly open: number;
  readonly votes: ReadonlyMap<string, number>;
  readonly lead: Lead<number>;
}

function leadOf<T extends number | bigint>(values: ReadonlyMap<string, T>, zero: T): Lead<T> {
  const [first = '', ...others] = values.keys();
  let lead: Lead<T> = { option: first, top: values.get(first) ?? zero, second: zero };
  for (const option of others) {
    const value = values.get(option) ?? zero;
    if (value > lead.top) lead = { option, top: value, second: lead.top };
    else if (value > lead.second) lead = { ...lead, second: value };
  }
  return lead;
}

function tallyOf<T extends number | bigint>(
  electorate: Electorate,
  casts: readonly Cast[],
  zero: T,
  add: (sum: T, voter: string) => T,
): ReadonlyMap<string, T> {
  const tally = new Map(electorate.options.map((option) => [option, zero]));
  for (const { agent, position } of casts) {
    const sum = tally.get(position);
    if (sum !== undefined) tally.set(position, add(sum, agent));
  }
  return tally;
}

function countOf(electorate: Electorate, casts: readonly Cast[]): Count {
  const votes = tallyOf<number>(electorate, casts, 0, (sum) => sum + 1);
  return { present: casts.length, open: electorate.roster.length - casts.length, votes, lead: leadOf(votes, 0) };
}

const lost = (reason: NoConsensusReason, settled: boolean): Finding => ({ result: { reason }, settled });
const won = (position: string, settled: boolean): Finding => ({ result: { position }, settled });

function majority({ quorum, options }: Electorate, { present, open, lead }: Count): Finding {
  if (present < quorum) return lost('insufficient_votes', present + open < quorum);
  if (lead.top < quorum) return lost('no_majority', lead.top + open < quorum);
  if (lead.top === lead.second) return lost('tie', open === 0);
  return won(lead.option, options.length === 1 || lead.second + open < lead.top);
}

function unanimous({ quorum, roster }: Electorate, { present, open, lead }: Count): Finding {
  if (quorum > roster.length) return lost('insufficient_votes', true);
  if (lead.top < present) return lost('no_majority', true);
  if (open > 0) return lost('insufficient_votes', false);
  return won(lead.option, true);
}

function weighted(
  electorate: Electorate,
  { present, open: absent }: Count,
  casts: readonly Cast[],
  scores: ReadonlyMap<string, bigint>,
): Finding {
  const { quorum, roster, scales, threshold, options } = electorate;
  if (present < quorum) return lost('insufficient_votes', present + absent < quorum);
  const lead = leadOf(scores, 0n);
  const total = [...scores.values()].reduce((sum, score) => sum + score, 0n);
  const voted = new Set(casts.map((cast) => cast.agent));
  const open = roster.reduce((sum, voter) => (voted.has(voter) ? sum : sum + scales.weightOf(voter)), 0n);
  if (lead.top === 0n) return lost('no_majority', open === 0n);
  if (lead.top === lead.second) return lost('tie', open === 0n);
  // All outstanding weight on one rival is the most that can happen to the leader, and the worst for its share.
  const caught = options.length > 1 && lead.second + open >= lead.top;
  const rest = options.length > 1 ? open : 0n;
  if (holdsShare(lead.top, total, threshold)) {
    return won(lead.option, open === 0n || (!caught && holdsShare(lead.top, total + rest, threshold)));
  }
  // While a rival could catch the leader we wait, though it might need weights that do not add up: that is a subset sum.
  return lost('no_majority', open === 0n || (!caught && !holdsShare(lead.top + open, total + open, threshold)));
}

function aheadByK({ quorum, k, options }: Electorate, { present, open, lead }: Count): Finding {
  if (present < quorum) return lost('insufficient_votes', present + open < quorum);
  const ahead = lead.top - lead.second;
  if (ahead >= k) return won(lead.option, true);
  if (lead.top > 0 && ahead === 0) return lost('tie', open === 0);
  // The second may draw level; from nothing it takes two votes to make a tie.
  const tieAt = options.length === 1 ? Number.POSITIVE_INFINITY : lead.top === 0 ? 2 : ahead;
  return lost('no_majority', ahead + open < k && open < tieAt);
}

function findingOf(
  electorate: Electorate,
  count: Count,
  casts: readonly Cast[],
  scores: ReadonlyMap<string, bigint>,
): Finding {
  switch (electorate.method) {
    case 'majority':
      return majority(electorate, count);
    case 'weighted':
      return weighted(electorate, count, casts, scores);
    case 'unanimous':
      return unanimous(electorate, count);
    case 'ahead-by-k':
      return aheadByK(electorate, count);
  }
}

const NO_SCORES: ReadonlyMap<string, bigint> = new Map();

/** The verdict on the ballots that count so far: one per voter, of voters in the roster, with positions among the options. */
export function judge(electorate: Electorate, casts: readonly Cast[]): Verdict {
  const count = countOf(electorate, casts);
  const { scales } = electorate;
  const isWeighted = electorate.method === 'weighted';
  const scores = isWeighted
    ? tallyOf<bigint>(electorate, casts, 0n, (sum, voter) => sum + scales.weightOf(voter))
    : NO_SCORES;
  const { result, settled } = findingOf(electorate, count, casts, scores);
  const shown = isWeighted
    ? { scores: Object.fromEntries([...scores].map(([option, score]) => [option, scales.toNumber(score)])) }
    : {};
  if ('reason' in result) {
    return { status: settled ? 'lost' : 'pending', outcome: { consensus: false, reason: result.reason, ...shown } };
  }
  const { position } = result;
  const votes = count.votes.get(position) ?? 0;
  return { status: settled ? 'won' : 'pending', outcome: { consensus: true, position, votes, ...shown } };
}

/**
 * ahead-by-k: how many more voters have to be asked so that those who were asked can decide; 0 while they still can.
 * `silent`: how many were asked and have not answered.
 */
export function shortfall(electorate: Electorate, casts: readonly Cast[], silent: number): number {
  const { present, lead } = countOf(electorate, casts);
  const toQuorum = electorate.quorum - present - silent;
  const toLead = electorate.k - (lead.top - lead.second) - silent;
  return Math.max(0, toQuorum, toLead);
}
