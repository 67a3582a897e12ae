/** The zod schemas of the wire as JSON Schema components of an AsyncAPI document. */
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { Presence } from '../../shared/protocol/agent.ts';
import { DeadLetter } from '../../shared/protocol/dead.ts';
import {
  Budget,
  CancelRequest,
  ErrorInfo,
  GoalCost,
  GoalRecord,
  GoalSubmission,
  Spent,
  TaskCounts,
  TaskShorthand,
  TaskSpec,
} from '../../shared/protocol/goal.ts';
import { AgentMessage, RECEIPT, REPLY } from '../../shared/protocol/message.ts';
import {
  ANNOUNCE,
  Announcement,
  Award,
  Bid,
  Handover,
  HANDOVER,
  HandoverReply,
  Peer,
  PeerAnswer,
  Question,
  QUESTION,
  Step,
} from '../../shared/protocol/peer.ts';
import { Revision } from '../../shared/protocol/plan.ts';
import { TaskCost, TaskRecord } from '../../shared/protocol/task.ts';
import { Ballot, RoundRecord, TaskVote, VoteRequest, VoteRule } from '../../shared/protocol/vote.ts';

/** An AgentMessage of one type, with what it says. */
function said(messageType: string, content: z.ZodType) {
  return AgentMessage.extend({ messageType: z.literal(messageType), content });
}

export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };

const MESSAGES = {
  GoalSubmission,
  TaskShorthand,
  CancelRequest,
  AgentMessage,
  AnnounceMessage: said(ANNOUNCE, Announcement),
  BidMessage: said(REPLY, Bid),
  QuestionMessage: said(QUESTION, Question),
  QuestionReceipt: said(RECEIPT, z.null()),
  QuestionAnswer: said(REPLY, PeerAnswer),
  HandoverMessage: said(HANDOVER, Handover),
  HandoverAnswer: said(REPLY, HandoverReply),
  VoteRequest,
  Ballot,
  DeadLetter,
  GoalRecord,
  TaskRecord,
  RoundRecord,
  Revision,
  Presence,
};
/** Parts that several messages have, named so that they are written once. */
const PARTS = {
  Announcement,
  Award,
  Bid,
  Handover,
  HandoverReply,
  Peer,
  PeerAnswer,
  Question,
  Step,
  Budget,
  ErrorInfo,
  GoalCost,
  Spent,
  TaskCost,
  TaskCounts,
  TaskSpec,
  TaskVote,
  VoteRule,
};

export type MessageName = keyof typeof MESSAGES;

/** A value of no fixed shape. zod spells it out as a recursion, once per use. */
const ANY_JSON = 'Json';
const SHARED = '__shared';

/** `components.schemas`: by name, references among them resolved within the document. */
export function schemaComponents(): Readonly<Record<string, Json>> {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries({ ...MESSAGES, ...PARTS })) registry.add(schema, { id });
  // What is written must fit the input side: there defaults may be left out and unknown fields are ignored, as the protocol says.
  const { schemas } = z.toJSONSchema(registry, { io: 'input', target: 'draft-7', uri: reference });
  const { [SHARED]: shared, ...named } = plain(schemas);
  requireOnlyAnyJson(shared);
  const components = Object.entries(named).map(([name, schema]) => [name, cleaned(schema)] as const);
  return Object.fromEntries(
    [...components, [ANY_JSON, { description: 'Any JSON value.' }] as const].sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

function reference(name: string): string {
  return `#/components/schemas/${name}`;
}

/** Only JSON from here on, whatever the library's types allow. */
function plain(schemas: object): Readonly<Record<string, Json>> {
  return z.record(z.string(), z.json()).parse(JSON.parse(JSON.stringify(schemas)));
}

function cleaned(value: Json): Json {
  if (isList(value)) return value.map(cleaned);
  if (!isRecord(value)) return value;
  const { allOf, $ref } = value;
  if (typeof $ref === 'string') return { $ref: $ref.startsWith(reference(SHARED)) ? reference(ANY_JSON) : $ref };
  // zod wraps each reference for the sake of what may stand beside it; here nothing does.
  const [only] = isList(allOf) && allOf.length === 1 && Object.keys(value).length === 1 ? allOf : [];
  if (only !== undefined) return cleaned(only);
  const kept = Object.entries(value).filter(([name]) => name !== '$schema' && name !== '$id');
  return Object.fromEntries(kept.map(([name, part]) => [name, cleaned(part)]));
}

/** Whatever zod shares beside "any JSON" would be lost by `cleaned`: then it needs a name among the parts. */
function requireOnlyAnyJson(shared: Json | undefined): void {
  const definitions = isRecord(shared) ? (shared['definitions'] ?? {}) : {};
  for (const [name, definition] of Object.entries(definitions)) {
    const itself = { $ref: `${reference(SHARED)}#/definitions/${name}` };
    const anyJson = {
      anyOf: [
        ...['string', 'number', 'boolean', 'null'].map((type) => ({ type })),
        { type: 'array', items: itself },
        { type: 'object', propertyNames: { type: 'string' }, additionalProperties: itself },
      ],
    };
    if (!isDeepStrictEqual(definition, anyJson)) {
      throw new Error(
        `schema ${name} is used in several places and has no name: add it to PARTS (${JSON.stringify(definition).slice(0, 200)})`,
      );
    }
  }
}

function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}

function isRecord(value: Json | undefined): value is { readonly [name: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
