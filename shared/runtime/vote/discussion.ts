/**
 * Rounds of discussion (`rule.maxRounds`): an undecided round is asked again, with what the voters said the last time. On the wire each
 * discussion is a round with an id of its own, because a voter answers a round once; what is stored is the one decision of the whole.
 */
import { createHash } from 'node:crypto';
import type { Ballot, VoteRequest } from '../../protocol/vote.ts';

const ID_PREFIX_MAX = 40;
const ID_HASH_LENGTH = 16;
/** Characters of all rationales together: a request must stay far below what the broker takes in one message. */
const RATIONALES_MAX = 65_536;

/**
 * The id under which discussion `number` is asked: the round's own for the first, then `<round>-d<number>-<hash>`, an id of at most 64
 * characters. The hash keeps a stranger's round from having that id by accident, and long ids with one beginning apart.
 */
export function discussionId(roundId: string, number: number): string {
  if (number === 1) return roundId;
  const hash = createHash('sha256').update(`${roundId}\n${number}`).digest('base64url').slice(0, ID_HASH_LENGTH);
  return `${roundId.slice(0, ID_PREFIX_MAX)}-d${number}-${hash}`;
}

const DISCUSSION_ID = /^(.{1,40})-d(\d{1,2})-[A-Za-z0-9_-]{16}$/;

/** The round that a discussion belongs to: the inverse of `discussionId` for rounds whose id has at most 40 characters. Any other id is its own. */
export function roundOf(wireId: string): string {
  const [, round = '', number = ''] = DISCUSSION_ID.exec(wireId) ?? [];
  return round !== '' && discussionId(round, Number(number)) === wireId ? round : wireId;
}

type Context = VoteRequest['context'];

function isPlainObject(context: Context): context is Exclude<Extract<Context, object>, readonly unknown[]> {
  return typeof context === 'object' && context !== null && !Array.isArray(context);
}

/**
 * The context of the next discussion: the round's own with `discussion: [{ agent, position, confidence?, rationale? }]` beside its keys, or
 * `{ context, discussion }` when it is no object. Only the discussion before it, with rationales cut to an equal share of 65,536 characters.
 */
export function contextAfter(context: Context, ballots: readonly Ballot[]): NonNullable<Context> {
  const share = Math.floor(RATIONALES_MAX / Math.max(1, ballots.length));
  const discussion = ballots.map(({ agent, position, confidence, rationale }) => ({
    agent,
    position,
    ...(confidence === undefined ? {} : { confidence }),
    ...(rationale === undefined ? {} : { rationale: cut(rationale, share) }),
  }));
  return joined(context, discussion);
}

export function joined(context: Context, discussion: NonNullable<Context>): NonNullable<Context> {
  if (isPlainObject(context)) return { ...context, discussion };
  return context === undefined ? { discussion } : { context, discussion };
}

/** An object's own keys, and what a discussion added to them. */
export function parted(context: Context): { readonly original: Context; readonly discussion?: NonNullable<Context> } {
  if (!isPlainObject(context) || !Object.hasOwn(context, 'discussion')) return { original: context };
  const { discussion, ...original } = context;
  return discussion === undefined || discussion === null ? { original: context } : { original, discussion };
}

/** At most `length` UTF-16 units, never half of a surrogate pair. */
export function cut(text: string, length: number): string {
  if (text.length <= length) return text;
  const end = text.charCodeAt(length - 1);
  const split = end >= 0xd800 && end <= 0xdbff;
  return text.slice(0, split ? length - 1 : length);
}
