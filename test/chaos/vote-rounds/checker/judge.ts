/**
 * Judges vote rounds by what the broker kept of them: every request, every ballot as its voter sent it, every decision as it was stored. It shares no
 * code with those who voted, asked or counted; the rules are those of the dumb tally.
 */
import { ForeignBallot, ForeignRound } from '../../../support/foreign-records.ts';
import { dumbTally, type Setting } from '../../../unit/vote/dumb-tally.ts';
import { type Bites, noBites, Request } from './evidence.ts';

export interface Report {
  /** What must never be, a line each: at most twenty of them, and how many there were. */
  readonly violations: readonly string[];
  readonly violationsFound: number;
  readonly decidedTwice: number;
  readonly countedTwice: number;
  readonly decided: number;
  /** How rounds ended: `consensus`, or the reason why not. */
  readonly outcomes: Readonly<Record<string, number>>;
  readonly bites: Bites;
}

interface Sent {
  readonly position: string;
  readonly at: number;
}

interface Round {
  /** By proposer, in the order in which they first asked. */
  readonly askers: Map<string, number>;
  readonly asked: Set<string>;
  request: Request | undefined;
  /** Ballots that are what PROTOCOL says, of each voter, in its order. */
  readonly sent: Map<string, Sent[]>;
  /** Of each kind of message that must not count, when the broker stored it. */
  readonly others: [kind: keyof Bites, at: number][];
  readonly decisions: { readonly data: Uint8Array; readonly at: number }[];
  readonly copies: Uint8Array[];
}

const VIOLATIONS_SHOWN = 20;

export class Judge {
  readonly #rounds = new Map<string, Round>();
  readonly #violations: string[] = [];
  readonly #bites = noBites();
  readonly #outcomes: Record<string, number> = {};
  #violationsFound = 0;
  #decidedTwice = 0;
  #countedTwice = 0;
  #decided = 0;

  request(data: Uint8Array, at: number): void {
    const parsed = Request.safeParse(parse(data));
    if (!parsed.success) return this.#violation(`a request that PROTOCOL does not know: ${parsed.error.message}`);
    const request = parsed.data;
    // Addressed to nobody: the round is over.
    if (request.roster.length === 0) return;
    const round = this.#round(request.roundId);
    if (!round.askers.has(request.correlationId)) round.askers.set(request.correlationId, at);
    for (const voter of request.roster) round.asked.add(voter);
    const first = (round.request ??= request);
    const said = ({ proposal, options, rule }: Request): string => JSON.stringify([proposal, options, rule]);
    if (said(request) !== said(first)) this.#violation(`${request.roundId}: two proposers asked different questions`);
  }

  /** `token`: the last of its subject, which is whose it is. */
  ballot(roundId: string, token: string, data: Uint8Array, at: number): void {
    const round = this.#round(roundId);
    const parsed = ForeignBallot.safeParse(parse(data));
    const other = (kind: keyof Bites): void => void round.others.push([kind, at]);
    if (!parsed.success) return other('malformed');
    const { agent, position, roundId: named } = parsed.data;
    if (agent !== token) return other('forged');
    if (named !== roundId) return other('otherRound');
    const earlier = round.sent.get(token) ?? [];
    round.sent.set(token, [...earlier, { position, at }]);
  }

  decision(roundId: string, data: Uint8Array, at: number): void {
    this.#round(roundId).decisions.push({ data, at });
  }

  /** What the log holds of a decision. */
  copy(roundId: string, data: Uint8Array): void {
    this.#round(roundId).copies.push(data);
  }

  report(rounds: number): Report {
    for (const [roundId, round] of this.#rounds) this.#judge(roundId, round);
    if (this.#decided !== rounds) this.#violation(`expected ${rounds} decided rounds, found ${this.#decided}`);
    return {
      violations: this.#violations,
      violationsFound: this.#violationsFound,
      decidedTwice: this.#decidedTwice,
      countedTwice: this.#countedTwice,
      decided: this.#decided,
      outcomes: this.#outcomes,
      bites: this.#bites,
    };
  }

  #judge(roundId: string, round: Round): void {
    const { decisions, copies, request } = round;
    const wrong = (what: string): void => this.#violation(`${roundId}: ${what}`);
    const [decision] = decisions;
    if (decisions.length > 1) {
      this.#decidedTwice += 1;
      wrong(`decided ${decisions.length} times`);
    }
    if (decision === undefined) return wrong('asked, and never decided');
    const same = copies.length === decisions.length && copies.every((copy, at) => equal(copy, decisions[at]?.data));
    if (!same) wrong(`the log holds ${copies.length} of ${decisions.length} decisions, or others`);
    if (request === undefined) return wrong('decided, and nobody was asked');
    this.#decided += 1;
    for (const { data } of decisions) {
      const parsed = ForeignRound.safeParse(parse(data));
      if (!parsed.success || parsed.data.roundId !== roundId) wrong('what is stored is no decision of this round');
      else this.#count(round, request, parsed.data, wrong);
    }
    this.#tell(round, decision);
  }

  /** The ballots of a record were sent by those who are named, once each, and make the outcome that is stored. */
  #count(round: Round, request: Request, record: ForeignRound, wrong: (what: string) => void): void {
    const { roster, options, ballots, consensus, position, votes, reason } = record;
    const counted = new Set<string>();
    const isAlone = round.askers.size === 1;
    if (!round.askers.has(record.correlationId)) wrong(`stored by ${record.correlationId}, who never asked`);
    for (const { agent, position: voted, roundId } of ballots) {
      if (counted.has(agent)) {
        this.#countedTwice += 1;
        wrong(`${agent} counts twice`);
      }
      counted.add(agent);
      if (roundId !== record.roundId) wrong(`a ballot of ${roundId} counts`);
      if (!roster.includes(agent)) wrong(`${agent} counts and is not in the roster`);
      if (!round.asked.has(agent)) wrong(`${agent} counts and was never asked`);
      if (voted !== 'abstain' && !options.includes(voted)) wrong(`"${voted}" counts and is no option`);
      const sent = (round.sent.get(agent) ?? []).map((ballot) => ballot.position);
      const valid = sent.filter((each) => each === 'abstain' || options.includes(each));
      // A proposer that came later may have missed the first word of a voter that has two.
      const may = isAlone ? valid.slice(0, 1) : valid;
      if (!may.includes(voted)) wrong(`${agent} sent ${sent.join(', ') || 'nothing'}, and ${voted} counts`);
    }
    const sheet = ballots.map((ballot) => [ballot.agent, ballot.position] as const);
    const found = dumbTally(settingOf(request, roster), sheet);
    const stored = consensus ? `won ${position ?? ''}` : (reason ?? '');
    if (stored !== found) wrong(`stored is ${stored}, the ballots say ${found}`);
    const same = sheet.filter(([, voted]) => voted === position).length;
    if (consensus && votes !== same) wrong(`stored are ${votes ?? 'no'} votes, counted ${same}`);
  }

  /** What went wrong around this round, and could not touch it. */
  #tell(round: Round, { data, at: decidedAt }: Round['decisions'][number]): void {
    const parsed = ForeignRound.safeParse(parse(data));
    if (!parsed.success) return;
    const bites = this.#bites;
    const { roster, options, consensus, reason = 'nothing', correlationId } = parsed.data;
    const outcome = consensus ? 'consensus' : reason;
    this.#outcomes[outcome] = (this.#outcomes[outcome] ?? 0) + 1;
    for (const [kind, at] of round.others) bites[at > decidedAt ? 'late' : kind] += 1;
    for (const [voter, sent] of round.sent) {
      const seen: string[] = [];
      for (const { position, at } of sent) {
        const isFirst = seen.length === 0;
        if (at > decidedAt) bites.late += 1;
        else if (!roster.includes(voter)) bites.offRoster += 1;
        else if (position !== 'abstain' && !options.includes(position)) bites.noOption += 1;
        else if (!isFirst) bites[seen.includes(position) ? 'duplicate' : 'contradictory'] += 1;
        if (position === 'abstain' || options.includes(position)) seen.push(position);
      }
    }
    for (const voter of round.asked) {
      const heard = round.sent.get(voter)?.some(({ at }) => at <= decidedAt) ?? false;
      if (!heard) bites.silent += 1;
    }
    const asked = [...round.askers].filter(([, at]) => at <= decidedAt).map(([asker]) => asker);
    const slots = new Set(asked.map(slotOf));
    if (slots.size > 1) bites.twoAtOnce += 1;
    const replaced = asked.some((one) => asked.some((other) => one !== other && slotOf(one) === slotOf(other)));
    if (replaced) bites.replaced += 1;
    if (asked[0] !== correlationId) bites.decidedByAnother += 1;
  }

  #round(roundId: string): Round {
    const known = this.#rounds.get(roundId);
    if (known !== undefined) return known;
    const round: Round = {
      askers: new Map(),
      asked: new Set(),
      request: undefined,
      sent: new Map(),
      others: [],
      decisions: [],
      copies: [],
    };
    this.#rounds.set(roundId, round);
    return round;
  }

  #violation(line: string): void {
    this.#violationsFound += 1;
    if (this.#violations.length < VIOLATIONS_SHOWN) this.#violations.push(line);
  }
}

/** `a-17` is the seventeenth process in slot `a`. */
function slotOf(asker: string): string {
  return asker.split('-')[0] ?? asker;
}

function settingOf({ rule, options }: Request, roster: readonly string[]): Setting {
  const { method, quorum, k, threshold, weights = {} } = rule;
  const hundredths = Object.entries(weights).map(([voter, weight]) => [voter, Math.round(weight * 100)]);
  return {
    method,
    roster,
    options,
    quorum,
    k,
    hundredths: Object.fromEntries(hundredths) as Record<string, number>,
    thresholdPercent: threshold === undefined ? undefined : threshold * 100,
  };
}

function equal(one: Uint8Array, other: Uint8Array | undefined): boolean {
  return other !== undefined && Buffer.compare(one, other) === 0;
}

function parse(data: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(data));
  } catch {
    return undefined;
  }
}
