/** Counts vote requests and ballots where they leave and arrive; messages between agents are counted by the mailbox, which knows their type. */
import type { Bus } from '../ports.ts';
import type { Subjects } from '../protocol/subjects.ts';

export type CountMessage = (direction: 'in' | 'out', type: 'vote' | 'ballot', bytes: number) => void;

export function countedBus(bus: Bus, subjects: Subjects, count: CountMessage): Bus {
  const prefixes = [
    ['vote', subjects.votesWildcard.slice(0, -1)],
    ['ballot', subjects.ballotsWildcard.slice(0, -1)],
  ] as const;
  const typeOf = (subject: string): 'vote' | 'ballot' | undefined =>
    prefixes.find(([, prefix]) => subject.startsWith(prefix))?.[0];
  return {
    flush: () => bus.flush(),
    publish(subject, data, options) {
      const type = typeOf(subject);
      if (type !== undefined) count('out', type, data.length);
      bus.publish(subject, data, options);
    },
    subscribe(subject, handle, options) {
      const type = typeOf(subject);
      if (type === undefined) return bus.subscribe(subject, handle, options);
      const counting: typeof handle = (message) => {
        count('in', type, message.data.length);
        handle(message);
      };
      return bus.subscribe(subject, counting, options);
    },
  };
}
