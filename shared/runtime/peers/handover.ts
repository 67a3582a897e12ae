/** Work items from hand to hand: giving one to the agent that its task names, and taking one over. */
import type { Adopt, Delivery, HandOver } from '../../ports.ts';
import { fit } from '../../protocol/codec.ts';
import { Handover, HANDOVER, HandoverReply } from '../../protocol/peer.ts';
import type { Calls } from './calls.ts';

/** An agent answers within a millisecond or two, one that is busy with something else within this. */
const ANSWER_MS = 500;

export function handOverBy(calls: Calls): HandOver {
  return async (to, delivery, { capability, goalId, correlationId, traceparent }) => {
    const reply = await calls.call({
      to,
      messageType: HANDOVER,
      content: { capability, handle: delivery.handle } satisfies Handover,
      about: { goalId, correlationId, hops: 0, traceparent },
      withinMs: ANSWER_MS,
    });
    const answer = reply === undefined ? undefined : fit(HandoverReply, reply.content);
    return answer?.ok === true ? answer.value.status : 'silent';
  };
}

export interface TakingOver {
  readonly adopt: Adopt;
  /** Begins to work on it, unless the agent is too busy: then false. */
  readonly work: (delivery: Delivery, capability: string) => boolean;
  readonly capabilities: readonly string[];
}

/** The answer to a `handover` message. */
export async function takeOver({ adopt, work, capabilities }: TakingOver, content: unknown): Promise<HandoverReply> {
  const asked = fit(Handover, content);
  if (!asked.ok || !capabilities.includes(asked.value.capability)) return { status: 'refused' };
  const { capability, handle } = asked.value;
  const delivery = await adopt(handle, capability);
  if (delivery === undefined) return { status: 'refused' };
  return { status: work(delivery, capability) ? 'taken' : 'busy' };
}
