/** What the rounds are, and who does what in them: all of it follows from the seed, so that every process of a run knows it. */
import { createHash } from 'node:crypto';
import type { VoteMethod, VoteRule } from '../../../shared/protocol/vote.ts';

export const CAPABILITY = 'jury';
export const VOTERS = ['v1', 'v2', 'v3', 'v4', 'v5', 'v6', 'v7'] as const;
/** Present, of the capability, and in no roster. */
export const STRANGER = 'outsider';
/** Two proposers at once; each is replaced whenever it is killed. */
export const SLOTS = ['a', 'b'] as const;
export const DEADLINE_MS = 250;

const METHODS: readonly VoteMethod[] = ['majority', 'weighted', 'unanimous', 'ahead-by-k'];
const OPTIONS = ['approve', 'reject', 'rework'] as const;

/** A number from 0 up to 1 that nothing but these words decides. */
export function lot(...words: readonly (string | number)[]): number {
  const digest = createHash('sha256').update(words.join('\0')).digest();
  return digest.readUInt32BE(0) / 2 ** 32;
}

export interface Planned {
  readonly roundId: string;
  readonly proposal: string;
  readonly options: readonly string[];
  readonly rule: VoteRule;
  readonly roster: readonly string[];
  /** Who holds it: a third of the rounds each proposer alone, a third both at once. */
  readonly heldBy: readonly string[];
}

export function planned(seed: string, number: number): Planned {
  const of = (what: string): number => lot(seed, number, what);
  const upTo = (what: string, from: number, to: number): number => from + Math.floor(of(what) * (to - from + 1));
  const roster = VOTERS.slice(0, upTo('roster', 3, VOTERS.length));
  const method = METHODS[number % METHODS.length] ?? 'majority';
  const [a, b] = SLOTS;
  return {
    roundId: `r${number}`,
    proposal: `Motion ${number}`,
    options: OPTIONS.slice(0, upTo('options', 2, 3)),
    rule: {
      method,
      ...(of('quorum') < 0.3 ? { quorum: upTo('size', 1, roster.length) } : {}),
      ...(method === 'ahead-by-k' ? { k: upTo('k', 1, 2) } : {}),
      ...(method === 'weighted' ? { weights: { v1: upTo('w1', 0, 300) / 100, v2: upTo('w2', 0, 300) / 100 } } : {}),
    },
    roster,
    heldBy: [[a], [b], [a, b]][number % 3] ?? [a],
  };
}

/** What a voter thinks of a round. */
export function opinionOf(seed: string, roundId: string, voter: string, options: readonly string[]): string {
  const share = lot(seed, roundId, voter, 'opinion');
  if (share < 0.65) return options[0] ?? 'abstain';
  if (share < 0.73) return 'abstain';
  return options[Math.floor(lot(seed, roundId, voter, 'other') * options.length)] ?? 'abstain';
}

const MISDEEDS = {
  /** The same ballot twice. */
  duplicate: 0.06,
  /** A second ballot that says something else. */
  contradictory: 0.06,
  /** Something that is no ballot, then the ballot. */
  malformed: 0.04,
  /** A ballot in another voter's name, then its own. */
  forged: 0.04,
  /** A ballot of another round, then that of this one. */
  otherRound: 0.03,
  /** A position that is no option, and nothing else. */
  noOption: 0.02,
  /** Its ballot, but only when the deadline has passed. */
  late: 0.05,
  /** Its ballot, but after most others. */
  slow: 0.05,
  silent: 0.03,
} as const;
export type Misdeed = keyof typeof MISDEEDS;

/** Undefined: it votes as it should. */
export function misdeedOf(seed: string, roundId: string, voter: string): Misdeed | undefined {
  let share = lot(seed, roundId, voter, 'misdeed');
  for (const [misdeed, weight] of Object.entries(MISDEEDS)) {
    if (share < weight) return misdeed as Misdeed;
    share -= weight;
  }
  return undefined;
}

/** Where a proposer can die: each is a moment between two of its steps. */
export const FAILPOINTS = [
  'before it asks',
  'when it has asked',
  'with a ballot in hand',
  'before it stores',
  'when the decision is on its way',
  'when the decision is stored',
] as const;
export type Failpoint = (typeof FAILPOINTS)[number];
