/** What a vote tells the outside: the runtime turns each of these into a log line with a stable event name, and a metric. */
import type { RejectReason } from '../../core/round.ts';
import type { Incoming } from '../../ports.ts';
import type { Ballot, NoConsensusReason, RoundRecord, VoteMethod } from '../../protocol/vote.ts';

interface OfRound {
  /** As on the wire: a further discussion of a round has an id of its own. */
  readonly roundId: string;
  readonly correlationId: string;
}

export interface Asked extends OfRound {
  readonly method: VoteMethod;
  /** Whom this request addresses; the roster may be larger. */
  readonly voters: readonly string[];
  /** 1 for the first discussion. */
  readonly discussion: number;
  /** They had not answered, and are asked for the last time. */
  readonly again: boolean;
}

export interface Counted extends OfRound {
  readonly ballot: Ballot;
}

export interface Rejected extends OfRound {
  readonly reason: RejectReason;
  /** Last token of the subject it came under: who sent it, by the broker's permissions. */
  readonly token: string;
  readonly detail: string;
  /** As it came, for a dead letter. */
  readonly message?: Incoming;
}

/** How one discussion ended for the voters that were asked. */
export interface Ended extends OfRound {
  readonly answered: readonly string[];
  /** The deadline passed without a ballot of theirs that counts. */
  readonly silent: readonly string[];
  /** The others had decided before they answered, which says nothing about them. */
  readonly unheard: readonly string[];
}

export interface Decided {
  readonly record: RoundRecord;
  readonly method: VoteMethod;
  readonly outcome: 'consensus' | NoConsensusReason;
  /** From the first request to the stored decision. */
  readonly durationMs: number;
  /** False: another proposer's decision stood already and was taken over. Count only rounds where it is true. */
  readonly created: boolean;
}

export interface RoundObserver {
  asked(event: Asked): void;
  counted(event: Counted): void;
  /** A ballot that did not count; it must be logged. */
  rejected(event: Rejected): void;
  ended(event: Ended): void;
  decided(event: Decided): void;
}

export type IgnoredReason =
  | 'malformed'
  | 'not_in_roster'
  /** The reply subject is not that of the round: an answer there could land anywhere. */
  | 'foreign_reply'
  | 'deadline_passed'
  /** This round is being answered already. */
  | 'in_progress'
  | 'overloaded'
  /** Nobody waits for the answer any more. */
  | 'over'
  /** The id of the round is made of another question. */
  | 'other_question'
  | 'stopping';

export interface Ignored {
  readonly reason: IgnoredReason;
  /** As it came, for a dead letter. */
  readonly message: Incoming;
  readonly roundId?: string;
  readonly detail: string;
}

export interface Answered extends OfRound {
  readonly ballot: Ballot;
  /** The round was answered before, and got the same ballot again. */
  readonly repeated: boolean;
}

export interface VoteFailed extends OfRound {
  /**
   * `decide`: the handler failed, the answer is an abstention. `recall`: the earlier ballot could not be looked up, the voter decides anew.
   * `publish`: the ballot could not be sent; it is kept, and sent when the round asks again. `look`: a proposer said that the round is over, and the
   * store did not answer; the voter goes on.
   */
  readonly step: 'decide' | 'recall' | 'publish' | 'look';
  readonly error: unknown;
}

export interface VoterObserver {
  ignored(event: Ignored): void;
  answered(event: Answered): void;
  failed(event: VoteFailed): void;
}
