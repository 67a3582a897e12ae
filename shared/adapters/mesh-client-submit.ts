/** Handing goals, and the wish to end them, to a mesh. */
import { randomUUID } from 'node:crypto';
import { type JetStreamClient, jetstream, type PubAck } from '@nats-io/jetstream';
import { headers, type MsgHdrs, type NatsConnection, TimeoutError } from '@nats-io/transport-node';
import { z } from 'zod';
import { decode, encode } from '../protocol/codec.ts';
import type { CancelRequest, GoalSubmission } from '../protocol/goal.ts';
import { TRACEPARENT_HEADER } from '../protocol/headers.ts';
import type { Subjects } from '../protocol/subjects.ts';
import { REQUEST_TIMEOUT_MS, readMessage } from './mesh-client-read.ts';

/** From here on the goal reaches a terminal state (I5). */
export interface Receipt {
  readonly goalId: string;
  /** Sequence of the submission in `<m>_goals`. */
  readonly sequence: number;
}

/** The message as a whole is more than the broker takes. */
export class SubmissionTooLarge extends Error {}

/** How often a publish of unknown outcome is repeated; the message id makes the repetitions one. */
const PUBLISH_ATTEMPTS = 3;
/** Receipts that are looked through for a goal that has no record yet. */
const RECEIPTS_SCANNED_MAX = 1_000;

export function submitter(nc: NatsConnection, subjects: Subjects) {
  const js = jetstream(nc, { timeout: REQUEST_TIMEOUT_MS });
  return {
    /** `traceparent`: the goal's trace goes on from it. @throws SubmissionTooLarge; the client's errors when no receipt came. */
    async submit(submission: z.input<typeof GoalSubmission>, traceparent?: string): Promise<Receipt> {
      const body = encode(submission);
      const limit = nc.info?.max_payload ?? Number.POSITIVE_INFINITY;
      if (body.length > limit) {
        throw new SubmissionTooLarge(
          `the submission is ${body.length} bytes and this broker takes ${limit}; give it fewer tasks, or put large inputs of tasks in files`,
        );
      }
      const ack = await publishOnce(js, subjects.goalsSubmit, body, randomUUID(), traceparent);
      return { goalId: submission.goalId ?? goalIdOf(ack.seq), sequence: ack.seq };
    },

    async cancel(request: CancelRequest): Promise<void> {
      await publishOnce(js, subjects.goalsCancel, encode(request), randomUUID());
    },

    /** True when a submission of this goal waits to be accepted, or its receipt is still open. */
    async hasReceipt(goalId: string): Promise<boolean> {
      const sequence = sequenceOf(goalId);
      if (sequence !== undefined) {
        const message = await readMessage(nc, subjects.goalsStream, { seq: sequence });
        return (
          message !== undefined && message.subject !== subjects.goalsCancel && namedGoal(message.data) === undefined
        );
      }
      for (const pattern of [subjects.goalsSubmit, subjects.tasksWildcard]) {
        let from = 1;
        for (let seen = 0; seen < RECEIPTS_SCANNED_MAX; seen += 1) {
          const message = await readMessage(nc, subjects.goalsStream, { seq: from, next_by_subj: pattern });
          if (message === undefined) break;
          if (namedGoal(message.data) === goalId) return true;
          from = message.sequence + 1;
        }
      }
      return false;
    },
  };
}

/** Publishes with a message id, so that an attempt whose answer was lost can be repeated without a second message. */
export async function publishOnce(
  js: Pick<JetStreamClient, 'publish'>,
  subject: string,
  body: Uint8Array,
  messageId: string,
  traceparent?: string,
): Promise<PubAck> {
  const options = { msgID: messageId, ...(traceparent === undefined ? {} : { headers: traceHeader(traceparent) }) };
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await js.publish(subject, body, options);
    } catch (error) {
      const lost = error instanceof TimeoutError || (error instanceof Error && error.cause instanceof TimeoutError);
      if (!lost || attempt === PUBLISH_ATTEMPTS) throw error;
    }
  }
}

function traceHeader(traceparent: string): MsgHdrs {
  const h = headers();
  h.set(TRACEPARENT_HEADER, traceparent);
  return h;
}

function goalIdOf(sequence: number): string {
  return `g-${sequence}`;
}

function sequenceOf(goalId: string): number | undefined {
  const digits = /^g-([1-9][0-9]{0,15})$/.exec(goalId)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

const Named = z.object({ goalId: z.string().optional() });

function namedGoal(body: Uint8Array): string | undefined {
  const decoded = decode(Named, body);
  return decoded.ok ? decoded.value.goalId : undefined;
}
