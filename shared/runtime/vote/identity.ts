/**
 * Ids of rounds about a task's result: `v-<digest of the question>-<series>`. The digest covers everything that the voters judge by, and among it a
 * random salt that stands in the task's record from the moment that the result does. So
 *  - nobody can hold, or decide, such a round before the result stands: the id cannot be guessed;
 *  - whoever takes the task over finds the same round, its decision and its ballots, from the record alone (I7);
 *  - a voter that is asked something else under such an id sees it, so that no ballot is given to one question and counted for another.
 * `series` tells the rounds about one result apart: after each that ended undecided comes the next.
 */
import { createHash } from 'node:crypto';
import type { VoteRequest } from '../../protocol/vote.ts';

/** `context`: large values resolved, and without what a discussion added. */
export type Question = Readonly<Pick<VoteRequest, 'goalId' | 'proposal' | 'options' | 'context'>>;

/** 192 bits. With the rest of the id it stays below the 40 characters that the id of a discussion keeps. */
const DIGEST_LENGTH = 32;
const CERTIFYING = /^v-([A-Za-z0-9_-]{32})-\d{1,5}$/;

/** Rounds about one result, by series from 1. */
export function roundIds(question: Question): (series: number) => string {
  const digest = digestOf(question);
  return (series) => `v-${digest}-${series}`;
}

/** False when the id belongs to another question. An id of any other form says nothing about its question. */
export function mayAsk(roundId: string, question: Question): boolean {
  const digest = CERTIFYING.exec(roundId)?.[1];
  return digest === undefined || digest === digestOf(question);
}

function digestOf({ goalId, proposal, options, context }: Question): string {
  // Schemas drop `__proto__`, so what arrives lacks it: it must not count for the one who asks either.
  const text = JSON.stringify([goalId ?? null, proposal, options, context ?? null], (key, value: unknown) =>
    key === '__proto__' ? undefined : value,
  );
  return createHash('sha256').update(text).digest('base64url').slice(0, DIGEST_LENGTH);
}
