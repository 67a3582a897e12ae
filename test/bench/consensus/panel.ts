/** Voters of known accuracy: who they are, what they are asked, and what they answer. All of it follows from the seed. */
import { hash } from 'node:crypto';
import type { VoteRequest } from '../../../shared/protocol/vote.ts';
import { MOVES, nameOf, nextMove } from './hanoi.ts';

/** Voters of one capability. */
export interface Panel {
  readonly capability: string;
  readonly voters: readonly Member[];
  /**
   * With this probability a question is one that all voters answer by one common lot: a blind spot, or good luck, that they share. Otherwise each has
   * a lot of its own. The accuracy of each is the same either way.
   */
  readonly correlation: number;
}

export interface Member {
  readonly agentId: string;
  /** The probability of a right answer. */
  readonly accuracy: number;
}

export function rosterOf({ voters }: Panel): readonly string[] {
  return voters.map(({ agentId }) => agentId);
}

/** Uniform in [0, 1): the same parts always give the same lot. */
export function lot(...parts: readonly (string | number)[]): number {
  return hash('sha256', parts.join('\n'), 'buffer').readUIntBE(0, 6) / 2 ** 48;
}

/** A question that a voter can answer from what it is given; nothing in a request says what is right. */
export type Question =
  | { readonly kind: 'divisible'; readonly number: number; readonly by: number }
  | { readonly kind: 'hanoi'; readonly discs: string };

export const YES_NO = ['yes', 'no'] as const;

export function rightAnswer(question: Question): string {
  if (question.kind === 'divisible') return question.number % question.by === 0 ? 'yes' : 'no';
  const move = nextMove(question.discs);
  if (move === undefined) throw new Error(`there is no next move: ${question.discs}`);
  return nameOf(move);
}

/** The one wrong answer that everybody gives who errs: the worst case, because errors that differ do not add up. */
function temptation(question: Question, right: string, seed: string): string {
  const others = (question.kind === 'divisible' ? YES_NO : MOVES).filter((option) => option !== right);
  return others[Math.floor(lot(seed, 'temptation', JSON.stringify(question)) * others.length)] ?? right;
}

/**
 * A voter's answer. Its own lot belongs to the round, so that a voter that is restarted gives the same ballot, and a round that is repeated is a new
 * chance; the common lot belongs to the question, so that repeating it does not help.
 */
export function answer(
  panel: Panel,
  member: Member,
  request: Pick<VoteRequest, 'roundId' | 'context'>,
  seed: string,
): string {
  const question = questionIn(request.context);
  const right = rightAnswer(question);
  const { capability, correlation } = panel;
  const about = JSON.stringify(question);
  const shares = correlation > 0 && lot(seed, capability, 'shares', about) < correlation;
  const drawn = shares
    ? lot(seed, capability, 'common', about)
    : lot(seed, capability, request.roundId, member.agentId);
  return drawn < member.accuracy ? right : temptation(question, right, seed);
}

function questionIn(context: VoteRequest['context']): Question {
  if (typeof context === 'object' && context !== null && !Array.isArray(context)) {
    const { kind, number, by, discs } = context;
    if (kind === 'divisible' && typeof number === 'number' && typeof by === 'number') return { kind, number, by };
    if (kind === 'hanoi' && typeof discs === 'string') return { kind, discs };
  }
  throw new Error(`expected a question as context, got ${JSON.stringify(context)}`);
}
