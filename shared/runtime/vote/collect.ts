/** One discussion of a round on the wire: the round machine, fed by ballots and timers, and what it wants done on the bus. */
import {
  advance,
  type DecidedRound,
  openRound,
  type RoundEffect,
  type RoundInput,
  type RoundState,
} from '../../core/round.ts';
import type { Bus, Clock } from '../../ports.ts';
import { decode, encode } from '../../protocol/codec.ts';
import type { Subjects } from '../../protocol/subjects.ts';
import { Ballot, type VoteRequest } from '../../protocol/vote.ts';
import type { RoundObserver } from './observer.ts';

export interface CollectDeps {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly subjects: Subjects;
  readonly observer: RoundObserver;
}

export interface Discussion {
  /** `roster`: everybody who may vote. */
  readonly request: VoteRequest;
  readonly capability: string;
  /** Milliseconds since the epoch. */
  readonly deadlineAt: number;
  readonly number: number;
  readonly headers: Readonly<Record<string, string>> | undefined;
  readonly signal: AbortSignal;
  readonly onSaid: OnSaid | undefined;
}

/** Hears of each request that was sent to `voters`, and of each ballot that counts, with its payload bytes: what the round's messages cost. */
export type OnSaid = (
  said:
    | { readonly type: 'vote'; readonly bytes: number; readonly voters: number; readonly again: boolean }
    | { readonly type: 'ballot'; readonly bytes: number },
) => void;

/** The spec of a round is unusable: what was expected, what came. Nothing was asked or stored. */
export class RoundRefused extends Error {
  readonly code = 'invalid_round';
}

/**
 * Those who have not answered after this share of the time are asked once more, with the same round: a voter that was just restarting never
 * saw the first request. A voter answers a round once, whatever it is asked.
 */
const NUDGE_SHARE = 1 / 3;

/**
 * Asks the voters and resolves when the outcome can no longer change, at the deadline at the latest.
 *
 * @throws RoundRefused, the signal's reason, or what the bus throws.
 */
export function collect(deps: CollectDeps, discussion: Discussion): Promise<DecidedRound> {
  const { bus, clock, subjects } = deps;
  const { request, deadlineAt, signal } = discussion;
  return new Promise((resolve, reject) => {
    const cleanups: (() => void)[] = [];
    let state: RoundState | undefined;
    /** Of the ballot that is being looked at. */
    let bytes = 0;

    const leave = () => {
      for (const cleanup of cleanups.splice(0)) cleanup();
    };
    const fail = (error: unknown) => {
      leave();
      reject(error instanceof Error ? error : new Error(String(error), { cause: error }));
    };
    /** A throw in here would end in the client's message loop, or a timer: it must end the round instead. */
    const guarded = (run: () => void) => {
      try {
        run();
      } catch (error) {
        fail(error);
      }
    };
    const settle = (next: RoundState, effects: readonly RoundEffect[]) => {
      state = next;
      for (const effect of effects) perform(deps, discussion, effect, bytes);
      if (next.phase !== 'decided') return;
      leave();
      resolve(next);
    };
    const feed = (input: RoundInput) =>
      guarded(() => {
        if (state === undefined) return;
        const step = advance(state, input);
        settle(step.state, step.effects);
      });

    guarded(() => {
      signal.throwIfAborted();
      const onAbort = () => fail(signal.reason);
      signal.addEventListener('abort', onAbort, { once: true });
      cleanups.push(() => signal.removeEventListener('abort', onAbort));

      const openedAt = clock.now();
      const opened = openRound({ ...request, deadlineAt }, openedAt);
      if (!opened.ok) throw new RoundRefused(opened.message);
      if (opened.state.phase === 'open') {
        const prefix = subjects.ballot(request.roundId, '-').slice(0, -1);
        // Before the first request goes out: the quickest voter must find us listening.
        const unsubscribe = bus.subscribe(subjects.ballotsOfRound(request.roundId), (message) => {
          const token = message.subject.slice(prefix.length);
          bytes = message.data.length;
          feed({ type: 'ballot', at: clock.now(), token, ballot: decode(Ballot, message.data) });
        });
        cleanups.push(unsubscribe);
        const leftMs = Math.max(0, deadlineAt - openedAt);
        cleanups.push(clock.after(leftMs * NUDGE_SHARE, () => feed({ type: 'nudge', at: clock.now() })));
        cleanups.push(clock.after(leftMs, () => feed({ type: 'deadline', at: clock.now() })));
      }
      settle(opened.state, opened.effects);
    });
  });
}

function perform(
  { bus, subjects, observer }: CollectDeps,
  discussion: Discussion,
  effect: RoundEffect,
  bytes: number,
): void {
  const { request, capability, headers, onSaid } = discussion;
  const { roundId, correlationId } = request;
  switch (effect.type) {
    case 'ask': {
      // Only those who are asked answer. The rule's own numbers stay those of the whole roster: `collect` was given them in full.
      const { voters, again } = effect;
      const data = encode({ ...request, roster: voters });
      bus.publish(subjects.vote(capability), data, {
        reply: subjects.ballots(roundId),
        ...(headers === undefined ? {} : { headers }),
      });
      onSaid?.({ type: 'vote', bytes: data.length, voters: voters.length, again });
      observer.asked({
        roundId,
        correlationId,
        method: request.rule.method,
        voters,
        discussion: discussion.number,
        again,
      });
      return;
    }
    case 'counted':
      onSaid?.({ type: 'ballot', bytes });
      observer.counted({ roundId, correlationId, ballot: effect.ballot });
      return;
    case 'rejected': {
      const { reason, token, detail } = effect;
      observer.rejected({ roundId, correlationId, reason, token, detail });
      return;
    }
    case 'decided':
      return;
  }
}
