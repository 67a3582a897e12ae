/**
 * Asking one other agent, and waiting for its reply: an AgentMessage under the sender's own subject, the reply on a subject of the sender's inbox that names
 * who may publish there. Both are in the log. A reply that does not fit, comes late, or comes from somebody else is no reply.
 */
import type { Bus, Clock } from '../../ports.ts';
import { decode, encode } from '../../protocol/codec.ts';
import { TRACEPARENT_HEADER } from '../../protocol/headers.ts';
import { type Json, timestamp } from '../../protocol/ids.ts';
import { AgentMessage, RECEIPT } from '../../protocol/message.ts';
import type { Subjects } from '../../protocol/subjects.ts';
import type { Tracing } from '../tracing.ts';

/** What a message belongs to. */
export interface About {
  readonly goalId: string;
  readonly correlationId: string;
  readonly taskId?: string;
  readonly hops: number;
  /** W3C context of what makes the agent say it. */
  readonly traceparent?: string | undefined;
}

export interface Call {
  readonly to: string;
  readonly messageType: string;
  /** Goes as JSON: what is undefined in it is left out. */
  readonly content: object;
  readonly about: About;
  /** How long the reply is waited for, ms. */
  readonly withinMs: number;
  /** Its answer takes time: an agent that does not confirm the receipt within this is not waited for. */
  readonly receiptMs?: number;
  readonly signal?: AbortSignal;
}

export interface Reply {
  readonly content: Json;
  /** Size of the message that was sent, and of the reply. */
  readonly sentBytes: number;
  readonly bytes: number;
}

type Said = Pick<AgentMessage, 'messageType'>;

export interface Calls {
  /** Undefined when no reply came in time, or the signal was aborted. */
  call(call: Call): Promise<Reply | undefined>;
  close(): void;
}

export interface CallDeps {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly subjects: Subjects;
  readonly agentId: string;
  readonly tracing: Tracing;
  /** Unique; an id. */
  readonly nextId: () => string;
  readonly events: {
    sent(message: Said, bytes: number): void;
    received(message: Said, bytes: number): void;
  };
}

const NO_REPLY = { code: 'no_reply', message: 'no reply came in time, or nobody waits for it any more' };

interface Waiting {
  readonly from: string;
  readonly arrived: () => void;
  readonly take: (reply: { readonly content: Json; readonly bytes: number }) => void;
}

export function callsOn(deps: CallDeps): Calls {
  const { bus, clock, subjects, agentId, tracing, events } = deps;
  /** By the subject on which the reply must come. */
  const waiting = new Map<string, Waiting>();
  const close = bus.subscribe(subjects.repliesTo(agentId), ({ subject, data }) => {
    const asked = waiting.get(subject);
    const decoded = asked === undefined ? undefined : decode(AgentMessage, data);
    // The broker guards the subject; what is in the envelope must agree with it.
    if (asked === undefined || decoded?.ok !== true || decoded.value.sender !== asked.from) return;
    events.received(decoded.value, data.length);
    if (decoded.value.messageType === RECEIPT) asked.arrived();
    else asked.take({ content: decoded.value.content, bytes: data.length });
  });

  return {
    close,
    call({ to, messageType, content, about, withinMs, receiptMs = withinMs, signal }) {
      if (signal?.aborted === true) return Promise.resolve(undefined);
      const id = deps.nextId();
      const { goalId, correlationId, taskId, hops } = about;
      const span = tracing.begin(about.traceparent);
      const traceparent = span?.traceparent ?? about.traceparent;
      const message = {
        id,
        sender: agentId,
        receiver: to,
        messageType,
        content,
        timestamp: timestamp(clock.now()),
        correlationId,
        goalId,
        ...(taskId === undefined ? {} : { taskId }),
        hops,
      };
      const data = encode(message satisfies Omit<AgentMessage, 'content'>);
      const reply = subjects.reply(agentId, to, id);
      const subject = subjects.message(agentId, to, messageType);
      const names = { messageType, messageId: id, sender: agentId, receiver: to, correlationId };
      const headers = traceparent === undefined ? {} : { headers: { [TRACEPARENT_HEADER]: traceparent } };
      return new Promise((resolve) => {
        const end = (answer: Reply | undefined): void => {
          waiting.delete(reply);
          cancel();
          signal?.removeEventListener('abort', onAbort);
          span?.end(
            { kind: 'send', subject, ...names, bytes: data.length },
            answer === undefined ? NO_REPLY : undefined,
          );
          resolve(answer);
        };
        const onAbort = (): void => end(undefined);
        let cancel = clock.after(receiptMs, () => end(undefined));
        const arrived = (): void => {
          cancel();
          cancel = clock.after(withinMs, () => end(undefined));
        };
        signal?.addEventListener('abort', onAbort, { once: true });
        waiting.set(reply, { from: to, arrived, take: (answer) => end({ ...answer, sentBytes: data.length }) });
        bus.publish(subject, data, { reply, ...headers });
        events.sent(message, data.length);
      });
    },
  };
}
