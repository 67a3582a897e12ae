/** Vote rounds on the wire: VoteRequest, Ballot, and the stored decision. */
import { z } from 'zod';
import { type Decoded, decodeJson, fit } from './codec.ts';
import { Id, type Json, Timestamp } from './ids.ts';

export const ABSTAIN = 'abstain';

const Option = z
  .string()
  .min(1)
  .max(256)
  .refine((option) => option !== ABSTAIN, '"abstain" is presence, never an option');

/** Weights default to 1.0; a negative, infinite or NaN weight is refused. */
const Weight = z.number().nonnegative();

export const VoteMethod = z.enum(['majority', 'weighted', 'unanimous', 'ahead-by-k']);
export type VoteMethod = z.infer<typeof VoteMethod>;

export const VoteRule = z.object({
  method: VoteMethod,
  /** Ballots (abstentions included) that must be present; default floor(roster / 2) + 1. */
  quorum: z.int().min(1).max(10_000).optional(),
  /** weighted: the share of all scores that the leader must exceed or equal, 0 to 1. */
  threshold: z.number().min(0).max(1).optional(),
  /** ahead-by-k: the lead that decides. */
  k: z.int().min(1).max(1_000).optional(),
  weights: z.record(Id, Weight).optional(),
  /** Rounds of discussion, default 1. */
  maxRounds: z.int().min(1).max(16).optional(),
});
export type VoteRule = z.infer<typeof VoteRule>;

/** `vote` of a task: its result counts only when these voters approve it. */
export const TaskVote = z.object({
  capability: Id,
  /** Number of voters; default all present. */
  voters: z.int().min(1).max(1_000).optional(),
  rule: VoteRule,
  onReject: z.enum(['rework', 'fail']),
  maxReworks: z.int().min(0).max(16).optional(),
});
export type TaskVote = z.infer<typeof TaskVote>;

export const VoteRequest = z.object({
  roundId: Id,
  goalId: Id.optional(),
  /** The task whose result is voted on. */
  taskId: Id.optional(),
  proposal: z.string().max(262_144),
  context: z.json().optional(),
  options: z.array(Option).min(1).max(64),
  rule: VoteRule,
  roster: z.array(Id).max(10_000),
  deadline: Timestamp,
  correlationId: z.string().min(1).max(256),
});
export type VoteRequest = z.infer<typeof VoteRequest>;

/** Addressed to nobody: a proposer says that the round is over, to those who still think about it. No voter answers it. */
export function saysOver(request: VoteRequest): boolean {
  return request.roster.length === 0;
}

export const Ballot = z.object({
  roundId: Id,
  agent: Id,
  /** One of the round's options, or `abstain`. */
  position: z.string().min(1).max(256),
  confidence: z.number().min(0).max(1).optional(),
  rationale: z.string().max(65_536).optional(),
  timestamp: Timestamp,
});
export type Ballot = z.infer<typeof Ballot>;

export const NoConsensusReason = z.enum(['insufficient_votes', 'no_majority', 'tie']);
export type NoConsensusReason = z.infer<typeof NoConsensusReason>;

/** `round.<roundId>`: written once, by create (I7). */
export const RoundRecord = z.object({
  roundId: Id,
  goalId: Id.optional(),
  taskId: Id.optional(),
  proposal: z.string(),
  options: z.array(z.string()),
  rule: VoteRule,
  roster: z.array(Id),
  ballots: z.array(Ballot),
  consensus: z.boolean(),
  position: z.string().optional(),
  votes: z.int().nonnegative().optional(),
  scores: z.record(z.string(), z.number()).optional(),
  reason: NoConsensusReason.optional(),
  correlationId: z.string(),
  openedAt: Timestamp,
  decidedAt: Timestamp,
});
export type RoundRecord = z.infer<typeof RoundRecord>;

/**
 * A voter checks a request, and its proposer each ballot, while somebody waits: a compiled check takes a fifth of the time. It is made when it is first used,
 * and what it does not take goes to the schema itself, which says what is wrong.
 */
function quick<T>(schema: z.ZodType<T>, compiled: () => z.ZodType<T>): (value: unknown) => Decoded<T> {
  let made: z.ZodType<T> | undefined;
  return (value) => {
    made ??= compiled();
    const checked = made.safeParse(value);
    return checked.success ? { ok: true, value: checked.data } : fit(schema, value);
  };
}

/** JSON that the schema of a context would hand on as it is: it drops `__proto__`. */
function isPlainJson(value: unknown): value is Json {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return true;
  if (typeof value === 'number') return Number.isFinite(value);
  if (Array.isArray(value)) return value.every(isPlainJson);
  if (typeof value !== 'object' || Object.getPrototypeOf(value) !== Object.prototype) return false;
  for (const [key, item] of Object.entries(value)) if (key === '__proto__' || !isPlainJson(item)) return false;
  return true;
}

/** Any value -> a VoteRequest, or what is wrong with it. */
export const fitVoteRequest = quick(VoteRequest, () =>
  // A recursive schema cannot be compiled.
  z.compile(VoteRequest.extend({ context: z.custom<Json>(isPlainJson).optional() })),
);
/** Any value -> a Ballot, or what is wrong with it. */
export const fitBallot = quick(Ballot, () => z.compile(Ballot));

export function decodeVoteRequest(bytes: Uint8Array): Decoded<VoteRequest> {
  const parsed = decodeJson(bytes);
  return parsed.ok ? fitVoteRequest(parsed.value) : parsed;
}

export function decodeBallot(bytes: Uint8Array): Decoded<Ballot> {
  const parsed = decodeJson(bytes);
  return parsed.ok ? fitBallot(parsed.value) : parsed;
}
