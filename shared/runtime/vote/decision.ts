/** The one decision of a round, `round.<roundId>`: written by create, so that two proposers of one round get one decision (I7). */
import type { DagStore } from '../../ports.ts';
import { decode, encode } from '../../protocol/codec.ts';
import type { Subjects } from '../../protocol/subjects.ts';
import { ABSTAIN, RoundRecord, type VoteRequest } from '../../protocol/vote.ts';
import { cut } from './discussion.ts';

export interface DecisionDeps {
  readonly store: Pick<DagStore, 'commit' | 'read'>;
  readonly subjects: Subjects;
}

/** A broker takes 1 MiB in one message by default; headers need a little of it. */
export const MESSAGE_BYTES_MAX = 1_000_000;
/** What one UTF-16 unit of text costs at most as JSON in UTF-8 (a control character, escaped). */
const BYTES_PER_UNIT_MAX = 6;

interface Standing {
  readonly record: RoundRecord;
  readonly data: Uint8Array;
}

async function readStanding({ store, subjects }: DecisionDeps, roundId: string): Promise<Standing | undefined> {
  const key = subjects.roundKey(roundId);
  const stored = await store.read(key);
  if (stored === undefined) return undefined;
  const decoded = decode(RoundRecord, stored.data);
  if (decoded.ok) return { record: decoded.value, data: stored.data };
  throw new Error(
    `${key}: expected the record of a vote round, got something else (${decoded.message}); use another round id`,
  );
}

/**
 * The decision of a round, if there is one.
 *
 * @throws Error when what is stored there is no RoundRecord, and whatever the store throws.
 */
export async function readDecision(deps: DecisionDeps, roundId: string): Promise<RoundRecord | undefined> {
  return (await readStanding(deps, roundId))?.record;
}

export interface Settled {
  readonly record: RoundRecord;
  /** False: another proposer's decision stood there first. */
  readonly created: boolean;
}

/**
 * Stores a decision unless one stands, and returns the one that stands. Rationales are shortened where the record would not fit into one
 * message. The stored bytes also name the proposer: two that decide the same in the same millisecond must not both take it for theirs.
 *
 * @throws Error when the store does not take it and none stands; the round is then undecided and may be held again.
 */
export async function storeDecision(deps: DecisionDeps, decision: RoundRecord, proposer: string): Promise<Settled> {
  const { store, subjects } = deps;
  const key = subjects.roundKey(decision.roundId);
  const whole = { ...decision, proposer };
  const wholeData = encode(whole);
  const fits = wholeData.byteLength <= MESSAGE_BYTES_MAX;
  const stored = fits ? whole : shortened(whole);
  const data = fits ? wholeData : encode(stored);
  const record = { ...decision, ballots: stored.ballots };
  let standing: Standing | undefined;
  try {
    const outcome = await store.commit([{ subject: subjects.dagSubject(key), data, expect: 0 }]);
    if (outcome.status === 'committed') return { record, created: true };
    standing = await readStanding(deps, decision.roundId);
  } catch (error) {
    // Nothing is known of the write: what stands now, ours or another's, is the decision (I7).
    standing = await readStanding(deps, decision.roundId);
    if (standing === undefined) throw error;
  }
  if (standing === undefined) {
    throw new Error(
      `${key}: the store refused to create it because it exists, yet reads nothing there; hold the round again`,
    );
  }
  return { record: standing.record, created: Buffer.compare(standing.data, data) === 0 };
}

/** The record with its rationales cut to equal shares of the room that one message leaves for them: a long one must not cost the decision. */
function shortened<T extends RoundRecord>(record: T): T {
  const withRationales = (length: number): T => ({
    ...record,
    ballots: record.ballots.map((ballot) =>
      ballot.rationale === undefined ? ballot : { ...ballot, rationale: cut(ballot.rationale, length) },
    ),
  });
  const room = MESSAGE_BYTES_MAX - sizeOf(withRationales(0));
  return withRationales(Math.max(0, Math.floor(room / record.ballots.length / BYTES_PER_UNIT_MAX)));
}

/** More than this no request without a context takes, nor the decision on it, rationales left out: a quick look that spares the exact one. */
export function bytesAtMost({ proposal, options, rule, roster, correlationId }: VoteRequest): number {
  const bytesOf = (text: string): number => text.length * BYTES_PER_UNIT_MAX + NUMBER_BYTES;
  const longest = Math.max(ABSTAIN.length, ...options.map((option) => option.length));
  const perVoter = BALLOT_BYTES + longest * BYTES_PER_UNIT_MAX;
  const weights = Object.keys(rule.weights ?? {}).length * WEIGHT_BYTES;
  const texts = [proposal, correlationId, ...options].reduce((sum, text) => sum + bytesOf(text), 0);
  return FIXED_BYTES + texts + weights + roster.length * perVoter;
}

/** Everything of a record that does not grow: field names, ids, times, numbers. */
const FIXED_BYTES = 2_000;
/** A voter in the roster, and its ballot but for the position. */
const BALLOT_BYTES = 500;
const WEIGHT_BYTES = 100;
/** A score beside its option, with the marks around both. */
const NUMBER_BYTES = 40;

/** The largest record that a round can need when all of its roster vote; rationales, which can be cut, left out. */
export function largestRecord(undecided: RoundRecord): RoundRecord {
  const [position = ABSTAIN] = [...undecided.options, ABSTAIN].sort((one, other) => sizeOf(other) - sizeOf(one));
  const ballots = undecided.roster.map((agent) => ({
    roundId: '-'.repeat(64),
    agent,
    position,
    confidence: LONGEST_NUMBER,
    rationale: '',
    timestamp: undecided.decidedAt,
  }));
  const scores = Object.fromEntries(undecided.options.map((option) => [option, LONGEST_NUMBER]));
  return { ...undecided, ballots, scores, position, votes: undecided.roster.length };
}

/** No finite number takes more characters as JSON. */
const LONGEST_NUMBER = -2.2250738585072014e-308;

function sizeOf(value: unknown): number {
  return encode(value).byteLength;
}
