/** The records of PROTOCOL as a stranger writes them down who has read that page and nothing else. Unknown fields are ignored, as it says. */
import { z } from 'zod';

const Id = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/);
/** ISO 8601, UTC, milliseconds. */
const Time = z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
const Count = z.int().min(0);
const Amount = z.number().min(0);
const Fault = z.object({ code: z.string().min(1), message: z.string().min(1), path: z.string().optional() });

export const GOAL_TERMINAL = ['completed', 'failed', 'cancelled', 'rejected'] as const;
export const TASK_TERMINAL = ['completed', 'failed', 'cancelled'] as const;

/** Key `goal.<goalId>`. */
export const ForeignGoal = z.object({
  goalId: Id,
  description: z.string(),
  pattern: z.enum(['sequential', 'parallel', 'orchestrator', 'peer-to-peer']),
  status: z.enum(['planning', 'running', ...GOAL_TERMINAL]),
  error: Fault.optional(),
  input: z.unknown().optional(),
  result: z.unknown().optional(),
  metadata: z.unknown().optional(),
  budget: z.object({ usd: Amount, tokens: Count, messages: Count, wallMs: Count }).partial().optional(),
  tasks: z.object({ total: Count, completed: Count, failed: Count, cancelled: Count }),
  spent: z.object({ usd: Amount, tokens: Count, messages: Count, wallMs: Amount }),
  cost: z.object({ compute: z.record(Id, Amount), communication: Amount, total: Amount, predicted: Amount }),
  correlationId: z.string().min(1),
  createdAt: Time,
  finishedAt: Time.optional(),
});
export type ForeignGoal = z.infer<typeof ForeignGoal>;

/** Key `task.<goalId>.<taskId>`. */
export const ForeignTask = z.object({
  goalId: Id,
  taskId: Id,
  capability: Id,
  description: z.string(),
  status: z.enum(['pending', 'ready', 'in_progress', ...TASK_TERMINAL]),
  agentId: Id.optional(),
  attempt: Count,
  dependencies: z.array(Id),
  input: z.unknown().optional(),
  result: z.unknown().optional(),
  error: Fault.optional(),
  cost: z.object({ usd: Amount, inputTokens: Count, outputTokens: Count, messages: Count }),
  correlationId: z.string().min(1),
  createdAt: Time,
  startedAt: Time.optional(),
  finishedAt: Time.optional(),
});
export type ForeignTask = z.infer<typeof ForeignTask>;

export const ForeignBallot = z.object({
  roundId: Id,
  agent: Id,
  position: z.string().min(1),
  confidence: z.number().min(0).max(1).optional(),
  rationale: z.string().optional(),
  timestamp: Time,
});

/** Key `round.<roundId>`. */
export const ForeignRound = z.object({
  roundId: Id,
  goalId: Id.optional(),
  taskId: Id.optional(),
  proposal: z.string(),
  options: z.array(z.string()),
  rule: z.looseObject({ method: z.enum(['majority', 'weighted', 'unanimous', 'ahead-by-k']) }),
  roster: z.array(Id),
  ballots: z.array(ForeignBallot),
  consensus: z.boolean(),
  position: z.string().optional(),
  votes: Count.optional(),
  reason: z.enum(['insufficient_votes', 'no_majority', 'tie']).optional(),
  correlationId: z.string().min(1),
  openedAt: Time,
  decidedAt: Time,
});
export type ForeignRound = z.infer<typeof ForeignRound>;

/** Key `plan.<goalId>.<n>`. */
export const ForeignRevision = z.object({
  goalId: Id,
  revision: z.int().min(1),
  cause: Id,
  replaces: z.array(Id),
  tasks: z.array(z.looseObject({ taskId: Id, capability: Id, dependencies: z.array(Id), assignee: Id.optional() })),
  createdAt: Time,
});
export type ForeignRevision = z.infer<typeof ForeignRevision>;

const Load = z.object({ running: Count, slots: Count });

/** Result of an auction, a task of a goal of the pattern peer-to-peer. */
export const ForeignAward = z.object({
  agentId: Id,
  capability: Id,
  score: z.number(),
  offers: z.array(
    z.object({ agentId: Id, capability: Id, confidence: Amount, usd: Amount, load: Load, score: z.number() }),
  ),
  asked: z.array(Id),
  silent: z.array(Id),
});
export type ForeignAward = z.infer<typeof ForeignAward>;

/** Key `agent.<agentId>` of bucket `<m>_agents`. */
export const ForeignPresence = z.object({
  agentId: Id,
  role: z.string(),
  capabilities: z.array(Id),
  startedAt: Time,
  version: z.string(),
  load: z.object({ running: Count, slots: Count }),
});
export type ForeignPresence = z.infer<typeof ForeignPresence>;

/** Subject `<m>.dead.<origin>`. */
export const ForeignLetter = z.object({
  origin: z.string(),
  subject: z.string(),
  reason: Fault,
  payload: z.base64(),
  goalId: Id.optional(),
  taskId: Id.optional(),
  attempts: Count.optional(),
  spent: z.unknown().optional(),
  at: Time,
});
export type ForeignLetter = z.infer<typeof ForeignLetter>;

/** Subject `<m>.msg.<sender>.<receiver>.<messageType>`. */
export const ForeignMessage = z.object({
  id: z.string().min(1),
  sender: Id,
  receiver: Id,
  messageType: Id,
  content: z.unknown(),
  timestamp: Time,
  correlationId: z.string().min(1),
  goalId: Id.optional(),
  taskId: Id.optional(),
  hops: Count,
});
export type ForeignMessage = z.infer<typeof ForeignMessage>;
