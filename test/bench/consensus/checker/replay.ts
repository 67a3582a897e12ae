/**
 * Judges a run of Towers of Hanoi by what the broker kept of it: every ballot as its voter sent it, and every decision as it was stored. It knows the
 * rules and the one shortest solution, and shares no code with those who voted, asked or counted.
 */
import { ForeignBallot, ForeignRound } from '../../../support/foreign-records.ts';
import { jsonOf } from '../../../support/foreign.ts';

export interface Task {
  readonly discs: number;
  /** Of the rule that every round must have had. */
  readonly k: number;
  readonly voters: readonly string[];
}

export interface WrongMove {
  readonly move: number;
  readonly decided: string;
  readonly right: string;
  /** Whether the rules would have allowed it. */
  readonly legal: boolean;
}

export interface Report {
  /** What must never be, a line each: at most twenty of them, and how many there were. */
  readonly violations: readonly string[];
  readonly violationsFound: number;
  /** Decisions that are not the solution's next move. */
  readonly wrong: readonly WrongMove[];
  /** Moves that were decided. */
  readonly moves: number;
  /** All discs stand on the goal, by the moves that were right. */
  readonly solved: boolean;
  readonly rounds: number;
  /** Rounds that ended without a decision, and were held again. */
  readonly repeated: number;
  /** Ballots that count. */
  readonly ballots: number;
  readonly wrongBallots: number;
  /** Wrong ones in rounds that decided for the right move. */
  readonly outvoted: number;
  /** Moves whose first ballot was wrong: what one voter alone would have decided. */
  readonly firstWrongAt: readonly number[];
}

/** `m<move>-<attempt>`: each attempt at a move is a round of its own. */
const ROUND_ID = /^m(\d+)-(\d+)$/;
const VIOLATIONS_SHOWN = 20;
/**
 * Ballots reach the log directly and decisions by way of the bucket, so either may come first. A decision is judged when so many others have come
 * after it; and ballots wait for so many decisions.
 */
const DECISIONS_HELD = 1_000;
const ROUNDS_OPEN_MAX = 250_000;

export class Replay {
  readonly #task: Task;
  /** Discs on each peg, the largest (highest number) first. */
  readonly #pegs: readonly [number[], number[], number[]];
  /** Of each round: what each voter sent first. */
  readonly #sent = new Map<string, Map<string, string>>();
  readonly #held: { readonly roundId: string; readonly data: Uint8Array }[] = [];
  readonly #violations: string[] = [];
  readonly #wrong: WrongMove[] = [];
  readonly #firstWrongAt: number[] = [];
  #violationsFound = 0;
  #moves = 0;
  #attempt = 0;
  #rounds = 0;
  #ballots = 0;
  #wrongBallots = 0;
  #outvoted = 0;

  constructor(task: Task) {
    this.#task = task;
    this.#pegs = [Array.from({ length: task.discs }, (_, index) => task.discs - index), [], []];
  }

  /** `token`: the last token of its subject, which is whose it is. */
  ballot(roundId: string, token: string, data: Uint8Array): void {
    const ballot = ForeignBallot.safeParse(jsonOf(data));
    if (!ballot.success || ballot.data.agent !== token || ballot.data.roundId !== roundId) {
      this.#violation(`${roundId}: ${token} sent something that is no ballot of its own`);
      return;
    }
    const sent = this.#sent.get(roundId) ?? new Map<string, string>();
    const earlier = sent.get(token);
    if (earlier !== undefined && earlier !== ballot.data.position)
      this.#violation(`${roundId}: ${token} voted ${earlier}, then ${ballot.data.position}`);
    if (earlier === undefined) sent.set(token, ballot.data.position);
    this.#sent.set(roundId, sent);
    const [oldest] = this.#sent.keys();
    if (this.#sent.size > ROUNDS_OPEN_MAX && oldest !== undefined) this.#sent.delete(oldest);
  }

  /** Decisions in the order in which they were stored. */
  decision(roundId: string, data: Uint8Array): void {
    this.#held.push({ roundId, data });
    if (this.#held.length >= 2 * DECISIONS_HELD) this.#judge(DECISIONS_HELD);
  }

  #judge(count: number): void {
    for (const { roundId, data } of this.#held.splice(0, count)) this.#judgeOne(roundId, data);
  }

  #judgeOne(roundId: string, data: Uint8Array): void {
    const parsed = ForeignRound.safeParse(jsonOf(data));
    if (!parsed.success || parsed.data.roundId !== roundId) {
      this.#violation(`${roundId}: what is stored is no decision of this round`);
      return;
    }
    const record = parsed.data;
    this.#rounds += 1;
    this.#count(record);
    if (!this.#isNext(roundId)) return;
    if (!record.consensus) return;
    this.#attempt = 0;
    this.#moves += 1;
    this.#play(record);
  }

  finish(): Report {
    this.#judge(this.#held.length);
    const { discs } = this.#task;
    const expected = 2 ** discs - 1;
    if (this.#moves !== expected) this.#violation(`expected ${expected} moves, found ${this.#moves}`);
    return {
      violations: this.#violations,
      violationsFound: this.#violationsFound,
      wrong: this.#wrong,
      moves: this.#moves,
      solved: this.#pegs[2].length === discs,
      rounds: this.#rounds,
      repeated: this.#rounds - this.#moves,
      ballots: this.#ballots,
      wrongBallots: this.#wrongBallots,
      outvoted: this.#outvoted,
      firstWrongAt: this.#firstWrongAt,
    };
  }

  /** The ballots of a record were sent by those who are named, once each, and make the outcome that is stored. */
  #count({ roundId, rule, roster, ballots, consensus, position, votes }: ForeignRound): void {
    const { k, voters } = this.#task;
    if (rule.method !== 'ahead-by-k' || rule['k'] !== k)
      this.#violation(`${roundId}: expected ahead-by-${k}, the rule was ${rule.method} with k ${String(rule['k'])}`);
    const sent = this.#sent.get(roundId);
    this.#sent.delete(roundId);
    const tally = new Map<string, number>();
    const counted = new Set<string>();
    for (const { agent, position: voted } of ballots) {
      if (counted.has(agent)) this.#violation(`${roundId}: ${agent} counts twice`);
      if (!roster.includes(agent) || !voters.includes(agent)) this.#violation(`${roundId}: ${agent} may not vote`);
      if (sent?.get(agent) !== voted)
        this.#violation(`${roundId}: ${agent} sent ${sent?.get(agent) ?? 'nothing'}, ${voted} was counted`);
      counted.add(agent);
      tally.set(voted, (tally.get(voted) ?? 0) + 1);
    }
    const [first = ['', 0], second = ['', 0]] = [...tally].sort(([, one], [, other]) => other - one);
    const decided = first[1] - second[1] >= k;
    if (consensus !== decided)
      this.#violation(`${roundId}: ${first[1]} against ${second[1]} votes, stored as ${String(consensus)}`);
    if (consensus && (position !== first[0] || votes !== first[1]))
      this.#violation(
        `${roundId}: ${first[0]} has ${first[1]} votes, stored is ${position ?? 'nothing'} with ${votes ?? 'none'}`,
      );
  }

  /** Attempts at a move follow each other until one decides; then comes the next move. */
  #isNext(roundId: string): boolean {
    const [, move, attempt] = ROUND_ID.exec(roundId) ?? [];
    this.#attempt += 1;
    const isNext = Number(move) === this.#moves + 1 && Number(attempt) === this.#attempt;
    if (!isNext) this.#violation(`${roundId}: expected m${this.#moves + 1}-${this.#attempt}`);
    return isNext;
  }

  #play({ roundId, ballots, position = 'nothing' }: ForeignRound): void {
    const [from, to] = this.#solution(this.#moves);
    const right = `${letterOf(from)} to ${letterOf(to)}`;
    const wrongBallots = ballots.filter((ballot) => ballot.position !== right).length;
    this.#ballots += ballots.length;
    this.#wrongBallots += wrongBallots;
    if (ballots[0]?.position !== right) this.#firstWrongAt.push(this.#moves);
    if (position === right) this.#outvoted += wrongBallots;
    else this.#wrong.push({ move: this.#moves, decided: position, right, legal: this.#isLegal(position) });
    // What follows was asked of the right position, so the right move is what is played.
    const disc = this.#pegs[from].pop();
    const under = this.#pegs[to].at(-1) ?? Number.POSITIVE_INFINITY;
    if (disc === undefined || disc > under) {
      this.#violation(`${roundId}: the solution's own move ${right} breaks the rules`);
      return;
    }
    this.#pegs[to].push(disc);
  }

  /** Move `n` of the shortest solution, from its binary digits; with an even number of discs the other two pegs swap roles. */
  #solution(n: number): readonly [Peg, Peg] {
    const turned = (peg: number): Peg => pegOf(this.#task.discs % 2 === 0 ? (3 - peg) % 3 : peg);
    return [turned((n & (n - 1)) % 3), turned(((n | (n - 1)) + 1) % 3)];
  }

  #isLegal(move: string): boolean {
    const [, from, to] = /^([ABC]) to ([ABC])$/.exec(move) ?? [];
    if (from === undefined || to === undefined || from === to) return false;
    const disc = this.#pegs[indexOf(from)].at(-1);
    return disc !== undefined && disc < (this.#pegs[indexOf(to)].at(-1) ?? Number.POSITIVE_INFINITY);
  }

  #violation(line: string): void {
    this.#violationsFound += 1;
    if (this.#violations.length < VIOLATIONS_SHOWN) this.#violations.push(line);
  }
}

type Peg = 0 | 1 | 2;

function pegOf(index: number): Peg {
  return index === 1 || index === 2 ? index : 0;
}

function indexOf(letter: string): Peg {
  return pegOf('ABC'.indexOf(letter));
}

function letterOf(peg: Peg): string {
  return 'ABC'[peg] ?? '';
}
