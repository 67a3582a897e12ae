/** What a graph is expected to cost, from what the agents that are alive say of themselves. */
import type { Presence } from '../protocol/agent.ts';
import type { TaskSpec } from '../protocol/goal.ts';
import type { CommunicationPrice } from '../protocol/prices.ts';
import { addNano, communicationCost, type NanoUsd, toNano, toUsd } from './cost.ts';

/** How a goal's tasks find their agents. */
export type Assignment = 'any' | 'cheapest';

/** Expected USD of these tasks. A capability that no known agent has costs nothing: nothing is known of it. */
export type Predict = (tasks: readonly Pick<TaskSpec, 'capability' | 'vote'>[], assign: Assignment) => number;

export function predictor(agents: readonly Presence[], communication: CommunicationPrice): Predict {
  const offering = memo((capability) => agents.filter((agent) => agent.capabilities.includes(capability)));
  const workOf = memo((key) => {
    const [assign, capability = ''] = key.split(' ');
    const offers = offering(capability);
    const prices = offers.map((agent) => askedBy(agent, capability));
    if (assign === 'cheapest') return toNano(offers.length === 0 ? 0 : Math.min(...prices));
    // Whoever has a free slot takes the task.
    return toNano(
      mean(
        prices,
        offers.map((agent) => agent.load.slots),
      ),
    );
  });

  /** The rounds of one voted task: a ballot of each voter, and the messages. */
  function votesOf({ capability, voters }: NonNullable<TaskSpec['vote']>): NanoUsd {
    const offers = offering(capability);
    const asked = Math.min(voters ?? offers.length, offers.length);
    const opinions = offers.flatMap((agent) => {
      const opinion = own(agent.opinions, capability);
      return opinion === undefined ? [] : [opinion];
    });
    if (opinions.length === 0) return 0;
    const even = opinions.map(() => 1);
    const of = (field: 'usd' | 'rounds' | 'bytes'): number =>
      mean(
        opinions.map((opinion) => opinion[field]),
        even,
      );
    const messages = 1 + asked;
    const round = communicationCost(communication, { messages, bytes: Math.round(messages * of('bytes')) });
    return Math.round(of('rounds') * (asked * toNano(of('usd')) + round));
  }

  return (tasks, assign) =>
    toUsd(
      addNano(
        tasks.flatMap(({ capability, vote }) => [
          workOf(`${assign} ${capability}`),
          vote === undefined ? 0 : votesOf(vote),
        ]),
      ),
    );
}

/** Weighted; without any weight at all, every value weighs the same. */
function mean(values: readonly number[], weights: readonly number[]): number {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  if (values.length === 0) return 0;
  if (total === 0)
    return mean(
      values,
      values.map(() => 1),
    );
  return values.reduce((sum, value, index) => sum + value * (weights[index] ?? 0), 0) / total;
}

/** What an agent expects one task of a capability to cost, USD; nothing when it does not say. */
function askedBy(agent: Presence, capability: string): number {
  return own(agent.estimates, capability) ?? 0;
}

/** `constructor` is a legal capability. */
function own<T>(by: Readonly<Record<string, T>> | undefined, key: string): T | undefined {
  return by !== undefined && Object.hasOwn(by, key) ? by[key] : undefined;
}

/** Capabilities are named by whoever submits a goal (I10). */
const MEMO_MAX = 1_000;

function memo<T>(compute: (key: string) => T): (key: string) => T {
  const known = new Map<string, T>();
  return (key) => {
    const before = known.get(key);
    if (before !== undefined) return before;
    if (known.size >= MEMO_MAX) known.clear();
    const value = compute(key);
    known.set(key, value);
    return value;
  };
}
