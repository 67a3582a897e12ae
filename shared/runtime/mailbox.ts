/**
 * Messages between agents: `<m>.msg.<sender>.<receiver>.<messageType>`. What does not fit the envelope, or was passed on too often, is refused and
 * dead-lettered; a reply goes only into the sender's own inbox, whatever the message says.
 */
import type { Bus, Clock, DeadLetters, Incoming, Operation } from '../ports.ts';
import { decode, encode } from '../protocol/codec.ts';
import { TRACEPARENT_HEADER } from '../protocol/headers.ts';
import { timestamp } from '../protocol/ids.ts';
import { AgentMessage, HOPS_MAX, RECEIPT, REPLY } from '../protocol/message.ts';
import type { Subjects } from '../protocol/subjects.ts';
import { cleanTraceparent } from '../protocol/trace.ts';
import { type Repeats, repeats } from './peers/repeats.ts';
import type { Tracing } from './tracing.ts';

export interface MailboxDeps {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly dead: DeadLetters;
  readonly subjects: Subjects;
  readonly agentId: string;
  readonly capabilities: readonly string[];
  readonly tracing: Tracing;
  readonly events: {
    received(message: AgentMessage, bytes: number): void;
    sent(message: AgentMessage, bytes: number): void;
    refused(code: string, detail: string, subject: string): void;
    failed(error: unknown): void;
  };
  /** What the agent does with a message; a value is sent back to a sender that asked for a reply. */
  readonly onMessage: (message: AgentMessage) => Promise<unknown>;
  /** True for a message whose answer takes its time: its receipt is confirmed at once. */
  readonly takesTime?: (message: AgentMessage) => boolean;
  /** Unique id of an outgoing message. */
  readonly nextId: () => string;
}

/** Starts to receive. Messages to a capability go to one agent that has it. */
export function openMailbox(deps: MailboxDeps): () => void {
  const { bus, subjects, agentId } = deps;
  const repeated = repeats();
  const take = (message: Incoming): void =>
    void receive(deps, repeated, message).catch((error: unknown) => deps.events.failed(error));
  const stops = [
    bus.subscribe(subjects.messagesTo(agentId), take),
    ...deps.capabilities.map((capability) =>
      bus.subscribe(subjects.messagesTo(capability), take, { queue: capability }),
    ),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}

async function receive(deps: MailboxDeps, repeated: Repeats, incoming: Incoming): Promise<void> {
  const decoded = decode(AgentMessage, incoming.data);
  if (!decoded.ok)
    return refuse(
      deps,
      incoming,
      decoded.code === 'invalid_json' ? 'invalid_json' : 'invalid_message',
      decoded.message,
    );
  const message = decoded.value;
  const expected = subjectOf(deps, message);
  // The broker guards the subject, not the body: a sender that differs from the subject's token is a forgery.
  if (incoming.subject !== expected)
    return refuse(
      deps,
      incoming,
      'forged_message',
      `expected subject ${expected} for this envelope, got ${incoming.subject}`,
      message,
    );
  if (message.hops > HOPS_MAX)
    return refuse(
      deps,
      incoming,
      'too_many_hops',
      `expected at most ${HOPS_MAX} hops, got ${message.hops}: the message goes in circles`,
      message,
    );
  const loop = repeated(message, deps.clock.now());
  if (loop !== undefined) return refuse(deps, incoming, loop.code, loop.message, message);
  deps.events.received(message, incoming.data.length);
  if (incoming.reply !== undefined && !incoming.reply.startsWith(`${deps.subjects.inbox(message.sender)}.`)) {
    return refuse(
      deps,
      incoming,
      'foreign_reply',
      `expected a reply subject below ${deps.subjects.inbox(message.sender)}, got ${incoming.reply}`,
      message,
    );
  }
  const { reply } = incoming;
  const sent = cleanTraceparent(incoming.header(TRACEPARENT_HEADER));
  const span = deps.tracing.begin(sent);
  const traceparent = span?.traceparent ?? sent;
  if (reply !== undefined && deps.takesTime?.(message) === true)
    respond(deps, message, reply, traceparent, RECEIPT, null);
  const operation = receivedOf(incoming, message);
  let content: unknown;
  try {
    content = await deps.tracing.within(traceparent, () => deps.onMessage(message));
    span?.end(operation);
  } catch (error) {
    span?.end(operation, { code: 'message_failed', message: String(error) });
    throw error;
  }
  if (reply !== undefined && content !== undefined) respond(deps, message, reply, traceparent, REPLY, content);
}

function respond(
  deps: MailboxDeps,
  message: AgentMessage,
  to: string,
  traceparent: string | undefined,
  messageType: string,
  content: unknown,
): void {
  const { goalId, taskId, correlationId } = message;
  const ids = { ...(goalId === undefined ? {} : { goalId }), ...(taskId === undefined ? {} : { taskId }) };
  const reply = {
    id: deps.nextId(),
    sender: deps.agentId,
    receiver: message.sender,
    messageType,
    content,
    timestamp: timestamp(deps.clock.now()),
    correlationId,
    ...ids,
    hops: message.hops + 1,
  };
  const checked = decode(AgentMessage, encode(reply));
  if (!checked.ok) throw new Error(`reply to ${message.sender}: ${checked.message}`);
  const bytes = encode(checked.value);
  deps.events.sent(checked.value, bytes.length);
  const headers = traceparent === undefined ? {} : { headers: { [TRACEPARENT_HEADER]: traceparent } };
  deps.bus.publish(to, bytes, headers);
}

function receivedOf({ subject, data }: Incoming, message: AgentMessage): Operation {
  const { messageType, id: messageId, sender, receiver, correlationId } = message;
  return { kind: 'receive', subject, messageType, messageId, sender, receiver, correlationId, bytes: data.length };
}

function subjectOf(deps: MailboxDeps, message: AgentMessage): string {
  return deps.subjects.message(message.sender, message.receiver, message.messageType);
}

async function refuse(
  deps: MailboxDeps,
  incoming: Incoming,
  code: string,
  detail: string,
  message?: AgentMessage,
): Promise<void> {
  deps.events.refused(code, detail, incoming.subject);
  const goalId = message?.goalId === undefined ? {} : { goalId: message.goalId };
  const taskId = message?.taskId === undefined ? {} : { taskId: message.taskId };
  const payload = Buffer.from(incoming.data).toString('base64');
  const letter = {
    origin: 'message' as const,
    subject: incoming.subject,
    reason: { code, message: detail },
    payload,
    ...goalId,
    ...taskId,
    at: timestamp(deps.clock.now()),
  };
  await deps.dead.put(letter, `message.${deps.nextId()}`);
}
