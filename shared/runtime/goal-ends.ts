/** What an agent hears of goals that end without it. */
import type { Bus } from '../ports.ts';
import { decode } from '../protocol/codec.ts';
import { CancelRequest } from '../protocol/goal.ts';
import type { Subjects } from '../protocol/subjects.ts';

interface Heard {
  readonly bus: Bus;
  readonly subjects: Subjects;
  readonly agentId: string;
}

interface Holder {
  /** A goal whose receipt this agent may hold is terminal. */
  goalEnded(goalId: string): void;
  /** Somebody asks to cancel the goal: work for it is soon for nothing. Only the records say whether it is. */
  recheck(goalId: string): void;
}

/** `others`: what works for goals beside the engine. Both messages are hints, and may be lost: the sweep and the lease find the same, later. */
export function hearEnds(
  { bus, subjects, agentId }: Heard,
  engine: Holder,
  others: readonly Pick<Holder, 'recheck'>[],
): void {
  bus.subscribe(`${subjects.inbox(agentId)}.ended`, ({ data }) => {
    const ended = decode(CancelRequest, data);
    if (ended.ok) engine.goalEnded(ended.value.goalId);
  });
  bus.subscribe(subjects.goalsCancel, ({ data }) => {
    const cancel = decode(CancelRequest, data);
    if (!cancel.ok) return;
    for (const one of [engine, ...others]) one.recheck(cancel.value.goalId);
  });
}
