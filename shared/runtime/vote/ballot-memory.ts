/** The ballots a voter gave lately, so that a round that asks again gets the same one. Bounded: the round asked longest ago goes first (I10). */
import type { Ballot } from '../../protocol/vote.ts';

export class BallotMemory {
  readonly #ballots = new Map<string, Ballot>();
  readonly #roundsMax: number;

  constructor(roundsMax: number) {
    this.#roundsMax = roundsMax;
  }

  get(roundId: string): Ballot | undefined {
    const ballot = this.#ballots.get(roundId);
    if (ballot !== undefined) this.set(ballot);
    return ballot;
  }

  set(ballot: Ballot): void {
    // A Map keeps the order of insertion: the oldest key is the first.
    this.#ballots.delete(ballot.roundId);
    this.#ballots.set(ballot.roundId, ballot);
    if (this.#ballots.size <= this.#roundsMax) return;
    const [oldest] = this.#ballots.keys();
    if (oldest !== undefined) this.#ballots.delete(oldest);
  }
}
