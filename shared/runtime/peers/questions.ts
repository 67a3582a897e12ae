/**
 * Questions between agents: one peer is asked, with a deadline, behind a breaker of its own, and the work goes on whether or not it answers. What is said
 * belongs to the goal: it is charged, carries its correlation id, and is in the log.
 */
import { createHash } from 'node:crypto';
import { CallFailure, PolicyError } from '../../adapters/call-failure.ts';
import type { Resilience } from '../../adapters/resilience.ts';
import type { Limits } from '../../core/budget.ts';
import type { Said } from '../../core/cost.ts';
import type { Presence } from '../../protocol/agent.ts';
import { encode, fit } from '../../protocol/codec.ts';
import type { AgentMessage } from '../../protocol/message.ts';
import { PeerAnswer, Question, QUESTION } from '../../protocol/peer.ts';
import { HandlerError, type PeerSaid } from '../context.ts';
import type { Deps } from '../engine/deps.ts';
import type { Ledgers } from '../engine/ledgers.ts';
import { inAll } from '../engine/talk.ts';
import type { About, Calls } from './calls.ts';
import type { Repeats } from './repeats.ts';

/** Peers that one question is put to, one after the other. */
const PEERS_MAX = 2;
const ANSWER_BYTES_MAX = 16_384;
const ENVELOPE_BYTES = 1_024;
/** A peer that lives confirms a question at once; its answer may take a model's time. */
const RECEIPT_MS = 1_000;
const ANSWER_MS = 20_000;

export interface Questioner {
  readonly deps: Deps;
  readonly calls: Calls;
  readonly ledgers: Ledgers;
  /** The policy for one peer: its breaker remembers between questions. */
  readonly policyFor: (agentId: string) => Resilience;
  readonly repeated: Repeats;
}

export interface Asking {
  readonly question: Question;
  readonly about: About;
  readonly attempt: number;
  readonly limits: () => Promise<Limits>;
  readonly signal: AbortSignal;
  readonly beforeCall: () => Promise<void>;
  /** Messages that were charged, and their bytes. */
  readonly onSaid: (said: Said) => void;
}

/** Never throws for a peer's sake. Throws HandlerError `budget_exceeded`, and `repeated_content` when the same was asked again and again. */
export async function askPeer(questioner: Questioner, asking: Asking): Promise<PeerSaid> {
  const { deps, repeated } = questioner;
  const { capability } = asking.question;
  const { goalId } = asking.about;
  const said = { sender: deps.agentId, receiver: capability, messageType: QUESTION, content: asking.question };
  const loop = repeated({ ...said, goalId }, deps.clock.now());
  if (loop !== undefined) throw new HandlerError(loop.code, loop.message, { retry: false });
  await asking.beforeCall();
  const peers = (await deps.registry.list())
    .filter((agent) => agent.agentId !== deps.agentId && agent.capabilities.includes(capability))
    .toSorted((one, other) => busy(one) - busy(other))
    .slice(0, PEERS_MAX);
  let reason = `no other agent with capability ${capability} is there`;
  for (const { agentId } of peers) {
    const heard = await askOne(questioner, asking, agentId);
    if (heard.ok) return heard;
    ({ reason } = heard);
  }
  return { ok: false, reason };
}

function busy({ load }: Presence): number {
  return load.slots === 0 ? 1 : load.running / load.slots;
}

async function askOne(questioner: Questioner, asking: Asking, to: string): Promise<PeerSaid> {
  const { calls, policyFor } = questioner;
  const { question, about, signal } = asking;
  try {
    return await policyFor(to).execute(
      async (attempt) => {
        const reply = await charged(questioner, asking, () =>
          calls.call({
            to,
            messageType: QUESTION,
            content: question,
            about,
            withinMs: ANSWER_MS,
            receiptMs: RECEIPT_MS,
            signal: attempt.signal,
          }),
        );
        const answer = reply === undefined ? undefined : fit(PeerAnswer, reply.content);
        if (answer?.ok !== true) throw new CallFailure({ kind: 'retry' }, `agent ${to} did not answer`);
        return answer.value.status === 'answered'
          ? { ok: true, from: to, answer: answer.value.answer }
          : { ok: false, reason: `agent ${to}: ${answer.value.reason}` };
      },
      { signal },
    );
  } catch (error) {
    if (error instanceof CallFailure || error instanceof PolicyError) return { ok: false, reason: error.message };
    throw error;
  }
}

/** I4: the question, and the longest answer, are reserved before the one is sent. */
async function charged<T extends { readonly sentBytes: number; readonly bytes: number } | undefined>(
  { deps, ledgers }: Questioner,
  { question, about, attempt, limits, onSaid }: Asking,
  send: () => Promise<T>,
): Promise<T> {
  const { goalId, taskId } = about;
  const size = encode(question).length + ENVELOPE_BYTES;
  const most = { question: { messages: 1, bytes: size }, reply: { messages: 1, bytes: ANSWER_BYTES_MAX } };
  const holder = { agentId: deps.agentId, taskId: taskId ?? goalId, attempt };
  const exchange = await ledgers.exchange(goalId, await limits(), holder, most);
  if (!exchange.granted) throw new HandlerError('budget_exceeded', exchange.message, { retry: false });
  const reply = await send();
  const came = reply === undefined ? 0 : 1;
  const said = {
    question: { messages: 1, bytes: Math.min(size, reply?.sentBytes ?? size) },
    reply: { messages: came, bytes: Math.min(ANSWER_BYTES_MAX, reply?.bytes ?? 0) },
  };
  await exchange.settle(said);
  onSaid(inAll(said));
  return reply;
}

/** Only what is one is confirmed before it is answered: a stranger that asks something else waits for one reply. */
export function isQuestion({ messageType, content }: AgentMessage): boolean {
  return messageType === QUESTION && fit(Question, content).ok;
}

/** Answers of one agent: what its handler says, within the budget of the goal that the question belongs to. */
export interface Answering {
  /** At most so many at once; a further question is not answered. */
  readonly atOnce: number;
  readonly answer: (question: Question, message: AgentMessage, id: string) => Promise<string | undefined>;
}

export function answererOf({ atOnce, answer }: Answering): (message: AgentMessage) => Promise<PeerAnswer> {
  let running = 0;
  const no = (reason: string): PeerAnswer => ({ status: 'unanswered', reason: reason.slice(0, 2_000) });
  return async (message) => {
    const asked = fit(Question, message.content);
    if (!asked.ok) return no(`expected a question: ${asked.message}`);
    if (running >= atOnce) return no('too many questions at once');
    running += 1;
    try {
      // The ledger wants an id, and the sender chose this one.
      const id = `q-${createHash('sha256').update(`${message.sender}\0${message.id}`).digest('base64url').slice(0, 32)}`;
      const said = await answer(asked.value, message, id);
      return said === undefined
        ? no('this agent answers no questions')
        : { status: 'answered', answer: said.slice(0, 8_000).toWellFormed() };
    } catch (error) {
      if (error instanceof HandlerError) return no(`${error.code}: ${error.message}`);
      throw error;
    } finally {
      running -= 1;
    }
  };
}
