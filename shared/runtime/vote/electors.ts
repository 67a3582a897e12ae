/**
 * Who of the voters that are present is asked. A voter that let the deadline pass in several rounds in a row is left out of new rosters for a while, and
 * comes back on trial: in one roster at a time, until it answered (it is back) or was silent again (it is out for longer).
 *
 * It is left out of rosters, never out of the count: a roster is filled up with voters that are out, as far as is needed for the rule's quorum, which
 * without a number of its own is the majority of those who would have been asked. Else a few that answer could decide for all that do not.
 */
import type { Presence } from '../../protocol/agent.ts';
import type { VoteRule } from '../../protocol/vote.ts';
import type { Ended } from './observer.ts';

/** Circuit breakers of targets that are watched, not called, by name; how each attempt ended is told afterwards. A name that nobody told of is closed. */
export interface Breakers {
  /**
   * Whether to try the target now. An open breaker whose time has come is half-open from here on, and admits one attempt at a time until one of them
   * has ended well, which closes it, or badly, which opens it for longer.
   */
  admits(name: string): boolean;
  /** `cut`: the attempt was ended by others before it proved anything. */
  ended(name: string, how: 'well' | 'badly' | 'cut'): void;
  forget(name: string): void;
}

export interface Electors {
  /** At most `voters` of those who are present, in the order in which they are given; all of them when that is undefined. */
  choose(present: readonly Presence[], rule: VoteRule, voters: number | undefined): readonly Presence[];
}

export interface WatchedElectors extends Electors {
  /** How a discussion ended for its voters. */
  heard(event: Ended): void;
  /** Forgets whoever is not present any more. */
  present(agents: readonly Presence[]): void;
}

/** I10: that of further voters is not kept. Each has a breaker, and a series in the metrics. */
const WATCHED_MAX = 100;

const named = (agentId: string): string => `voter:${agentId}`;

/** Everybody, as they come. */
export const everybody: Electors = { choose: (present, _rule, voters) => present.slice(0, voters ?? present.length) };

export function watchedElectors(breakers: Breakers): WatchedElectors {
  /** When each that has a breaker was started: a process that begins anew has a clean slate. */
  const known = new Map<string, string | undefined>();

  function forget(agentId: string): void {
    known.delete(agentId);
    breakers.forget(named(agentId));
  }

  return {
    choose(present, rule, voters) {
      for (const { agentId, startedAt } of present) {
        if (!known.has(agentId)) continue;
        if ((known.get(agentId) ?? startedAt) !== startedAt) forget(agentId);
        else known.set(agentId, startedAt);
      }
      const wanted = Math.min(voters ?? present.length, present.length);
      const chosen = new Set<Presence>();
      for (const agent of present) {
        if (chosen.size === wanted) break;
        if (!known.has(agent.agentId) || breakers.admits(named(agent.agentId))) chosen.add(agent);
      }
      const needed = Math.min(wanted, neededFor(rule, wanted));
      for (const agent of present) {
        if (chosen.size >= needed) break;
        chosen.add(agent);
      }
      return [...chosen];
    },
    heard({ answered, silent, unheard }) {
      for (const agentId of silent) {
        if (!known.has(agentId)) {
          if (known.size >= WATCHED_MAX) continue;
          known.set(agentId, undefined);
        }
        breakers.ended(named(agentId), 'badly');
      }
      for (const agentId of answered) if (known.has(agentId)) breakers.ended(named(agentId), 'well');
      for (const agentId of unheard) if (known.has(agentId)) breakers.ended(named(agentId), 'cut');
    },
    present(agents) {
      const there = new Set(agents.map(({ agentId }) => agentId));
      for (const agentId of known.keys()) if (!there.has(agentId)) forget(agentId);
    },
  };
}

/** Fewer than these cannot decide by this rule, or are less than half of whom it was meant for. */
function neededFor({ method, quorum, k = 1 }: VoteRule, wanted: number): number {
  const present = quorum ?? Math.floor(wanted / 2) + 1;
  return Math.max(1, present, method === 'ahead-by-k' ? k : 0);
}
