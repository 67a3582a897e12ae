/**
 * Goals of the pattern `peer-to-peer`: a task is announced, agents offer, one is awarded the work, and says with its result how the goal goes on.
 * Everything here is set by the engine, or checked against what it knows; nothing of it may come with a submission.
 */
import { z } from 'zod';
import { Id, Timestamp } from './ids.ts';

/** Agents that one auction asks (I10). */
export const ASKED_MAX = 64;
/** Parts into which work may be split at once. */
export const PARTS_MAX = 8;
/** Tasks of one peer-to-peer goal. */
export const PEER_TASKS_MAX = 100;
/** Characters of what one agent says to the next. */
export const NOTE_MAX = 2_000;

const Note = z.string().max(NOTE_MAX);
const Confidence = z.number().min(0).max(1);
const Load = z.object({ running: z.int().nonnegative(), slots: z.int().nonnegative() });

/** What a task is to its peer-to-peer goal. */
export const Peer = z.object({
  /** `auction`: its result is the award. `work`: that of the agent which was awarded it. `part`: a piece that was split off, for whoever takes it. */
  role: z.enum(['auction', 'work', 'part']),
  /** Number of the award that it is about, from 1. */
  turn: z.int().min(1),
  /** How often the goal was handed on, or split, before (I10). */
  hops: z.int().nonnegative(),
  /** The capability that the auction asks for, or that the one before this work asked for; absent: any that an agent would begin a goal with. */
  capability: Id.optional(),
  /** Agents that were awarded the work and are gone; they are not asked again. */
  excluded: z.array(Id).max(ASKED_MAX).optional(),
});
export type Peer = z.infer<typeof Peer>;

/** How the goal goes on after this result, as its agent says. */
export const Step = z.discriminatedUnion('kind', [
  /** The result is the goal's. `approval`: by a vote, or because nobody was there who could vote. */
  z.object({ kind: z.literal('answer'), approval: z.enum(['vote', 'nobody_to_vote']).optional() }),
  z.object({ kind: z.literal('hand_on'), capability: Id, note: Note }),
  /** Independent parts, and then an agent of `capability` that is given all their results. */
  z.object({
    kind: z.literal('split'),
    parts: z
      .array(z.object({ capability: Id, note: Note }))
      .min(1)
      .max(PARTS_MAX),
    capability: Id,
    note: Note,
  }),
]);
export type Step = z.infer<typeof Step>;

/** The next step as a model writes it, to be matched against what is there. All there, or null: so an endpoint can enforce it while it writes. */
export const NextStep = z.object({
  step: z.enum(['answer', 'hand_on', 'ask', 'split']),
  capability: z.string().nullable(),
  note: z.string().nullable(),
  parts: z.array(z.object({ capability: z.string(), note: z.string() })).nullable(),
});

export const ANNOUNCE = 'announce';
export const QUESTION = 'question';

/** Content of an `announce` message: who would do this? The reply is a Bid. */
export const Announcement = z.object({
  /** Names this auction, one attempt at it: a bid repeats it. */
  auction: z.string().min(1).max(256),
  goalId: Id,
  taskId: Id,
  description: z.string().max(4_000),
  /** Only this one is asked for. */
  capability: Id.optional(),
  hops: z.int().nonnegative(),
  /** What was done for the goal before, in order. */
  done: z.array(z.object({ taskId: Id, capability: Id })).max(PEER_TASKS_MAX),
  /** A bid that comes later does not count. */
  closesAt: Timestamp,
});
export type Announcement = z.infer<typeof Announcement>;

/** Content of the reply to an announcement. No offer: the agent declines, and nobody waits for it any longer. */
export const Bid = z.object({
  auction: z.string().min(1).max(256),
  offers: z
    .array(
      z.object({
        capability: Id,
        /** That it can do this well. */
        confidence: Confidence,
        /** Expected price, USD. */
        usd: z.number().nonnegative(),
      }),
    )
    .max(64),
  load: Load,
});
export type Bid = z.infer<typeof Bid>;

/** The committed result of an auction. */
export const Award = z.object({
  agentId: Id,
  capability: Id,
  score: z.number(),
  /** Every offer that counted, best first. */
  offers: z
    .array(
      z.object({
        agentId: Id,
        capability: Id,
        confidence: Confidence,
        usd: z.number().nonnegative(),
        load: Load,
        score: z.number(),
      }),
    )
    .min(1)
    .max(ASKED_MAX),
  /** Who was asked, and of those who did not answer in time. */
  asked: z.array(Id).max(ASKED_MAX),
  silent: z.array(Id).max(ASKED_MAX),
});
export type Award = z.infer<typeof Award>;

/** Content of a `handover` message: a work item for the agent that its task names. The reply is a HandoverReply. */
export const HANDOVER = 'handover';

export const Handover = z.object({
  capability: Id,
  /** Where the item is acknowledged; whoever has taken it over acknowledges it there. */
  handle: z.string().min(1).max(512),
});
export type Handover = z.infer<typeof Handover>;

/** `busy`: not now. `refused`: the item is none that this agent could work on. */
export const HandoverReply = z.object({ status: z.enum(['taken', 'busy', 'refused']) });
export type HandoverReply = z.infer<typeof HandoverReply>;

/** Content of a `question` message, to an agent with `capability`. The reply is a PeerAnswer. */
export const Question = z.object({
  capability: Id,
  question: z.string().min(1).max(NOTE_MAX),
  /** What the question is about. */
  about: z.string().max(8_000).optional(),
});
export type Question = z.infer<typeof Question>;

/** The answer to a question as a model writes it. */
export const SpokenAnswer = z.object({ answer: z.string() });
export type SpokenAnswer = z.infer<typeof SpokenAnswer>;

export const PeerAnswer = z.discriminatedUnion('status', [
  z.object({ status: z.literal('answered'), answer: z.string().max(8_000) }),
  z.object({ status: z.literal('unanswered'), reason: Note }),
]);
export type PeerAnswer = z.infer<typeof PeerAnswer>;
