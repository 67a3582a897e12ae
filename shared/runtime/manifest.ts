/**
 * The boundary of an agent: what it is for, what it can do, whom it may talk to, what it may use. Presence, `$SRV.INFO`, the docs and the
 * broker's permissions all come from it. A new agent is a manifest, a handler per capability, and a main of a few lines.
 */
import type { z } from 'zod';
import type { AgentMessage } from '../protocol/message.ts';
import type { Ballot, VoteRequest } from '../protocol/vote.ts';
import { fit } from '../protocol/codec.ts';
import type { ProposedStep } from '../core/peer.ts';
import type { Announcement, Question } from '../protocol/peer.ts';
import { type AnswerContext, HandlerError, type TaskContext, type VoterContext } from './context.ts';

export interface Capability<In = unknown, Out = unknown> {
  /** One sentence: what a caller gets. Planners choose by it. */
  readonly description: string;
  /** Input that does not fit fails the task with `invalid_input`, without a retry. */
  readonly input: z.ZodType<In>;
  /** Output that does not fit is a failed attempt (`invalid_output`). */
  readonly output: z.ZodType<Out>;
  /** Typical model use of one task: counts as one task beside those that are measured. Absent: no model. */
  readonly estimate?: { readonly inputTokens: number; readonly outputTokens: number };
  /** Throws HandlerError. */
  readonly run: (context: TaskContext<In>) => Promise<Out>;
  /**
   * How sure the agent is that it can do what is announced, 0 to 1, or a function that says so; undefined: it makes no offer. With it, the agent would
   * also begin a goal that nobody planned; absent: it offers 0.5 for what asks for this very capability, and else nothing.
   */
  readonly bid?: number | ((announced: Announcement) => number | undefined | Promise<number | undefined>);
  /** How a peer-to-peer goal goes on from this result; absent: the model says, and without a model the result is the answer. */
  readonly next?: (context: TaskContext, output: unknown) => ProposedStep | Promise<ProposedStep>;
  /** Answers a question of another agent; absent: the model does, and without a model nobody. */
  readonly answer?: (question: Question, context: AnswerContext) => Promise<string>;
}

export interface Manifest {
  /** Also the default prefix of the agentId. An id. */
  readonly role: string;
  /** One sentence. */
  readonly responsibility: string;
  readonly version: string;
  /** By capability name (an id). */
  readonly capabilities: Readonly<Record<string, Capability>>;
  /** Roles or capabilities this agent may send messages to; its broker permissions come from this list. */
  readonly mayMessage: readonly string[];
  /** True when it calls a model; then OPENAI_* is required at start. */
  readonly usesModel: boolean;
  readonly limits: { readonly slots: number };
  /** Messages from other agents; a value is the reply. Absent: the message is logged, and its receipt confirmed to whoever asks for a reply. */
  readonly onMessage?: (message: AgentMessage) => Promise<unknown>;
  /** Answers vote requests addressed to its capabilities; absent: it gives no ballots. */
  readonly vote?: (
    request: VoteRequest,
    context: VoterContext,
  ) => Promise<Pick<Ballot, 'position' | 'confidence' | 'rationale'>>;
  /** Typical model use of one ballot, as `estimate` of a capability. */
  readonly voteEstimate?: { readonly inputTokens: number; readonly outputTokens: number };
}

/** Keeps the types of one capability's input and output together; the map in a manifest forgets them. */
export function capability<In, Out>(definition: Capability<In, Out>): Capability {
  return {
    ...definition,
    run: (context) => {
      const input = fit(definition.input, context.input);
      if (!input.ok)
        throw new HandlerError('invalid_input', `input of ${context.capability}: ${input.message}`, { retry: false });
      return definition.run({ ...context, input: input.value });
    },
  };
}
