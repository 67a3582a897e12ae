/** One discussion of a round on the wire: the round machine, fed by ballots and timers, and what it wants done on the bus. */
import {
  advance,
  type DecidedRound,
  openFor,
  type RoundEffect,
  type RoundInput,
  type RoundState,
} from '../../core/round.ts';
import type { Electorate } from '../../core/quorum.ts';
import type { Bus, Clock, Incoming } from '../../ports.ts';
import { encode } from '../../protocol/codec.ts';
import { timestamp } from '../../protocol/ids.ts';
import type { Subjects } from '../../protocol/subjects.ts';
import { decodeBallot, type VoteRequest } from '../../protocol/vote.ts';
import { lingerOn } from './lingering.ts';
import type { Ended, RoundObserver } from './observer.ts';

export interface CollectDeps {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly subjects: Subjects;
  readonly observer: RoundObserver;
}

export interface Discussion {
  /** `roster`: everybody who may vote. */
  readonly request: VoteRequest;
  /** What the rule, the roster and the options of the request come to. */
  readonly electorate: Electorate;
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

/** A discussion that is decided. Exactly one of the two must be called once it is known what becomes of it. */
export interface Collected {
  readonly round: DecidedRound;
  /** Tells the voters that still think that nobody waits for them. What they find in the store must bear it out. */
  release(): void;
  /** Stops listening and says nothing. */
  leave(): void;
}

/**
 * Those who have not answered after this share of the time are asked once more, with the same round: a voter that was just restarting never
 * saw the first request. A voter answers a round once, whatever it is asked.
 */
const NUDGE_SHARE = 1 / 3;
/**
 * Voters that answer at once answer all together: the last ballots are on the way when the first have decided. So long after the first request those who have
 * not answered are told, or a little earlier when others are told as well.
 */
export const LINGER_MS = 100;
/** A deadline that this process noticed so late proves that it was stopped itself, and nothing about its voters. */
const NOTICED_LATE_MS = 500;

/**
 * Asks the voters and resolves when the outcome can no longer change, at the deadline at the latest. Until it is released it goes on listening for a
 * moment, so that late ballots are reported.
 *
 * @throws RoundRefused, the signal's reason, or what the bus throws. The voters that were asked are told.
 */
export function collect(deps: CollectDeps, discussion: Discussion): Promise<Collected> {
  const { bus, clock, subjects, observer } = deps;
  const { request, deadlineAt, signal } = discussion;
  const { roundId, correlationId } = request;
  return new Promise((resolve, reject) => {
    const openedAt = clock.now();
    const prefix = subjects.ballot(roundId, '-').slice(0, -1);
    /** Were asked and have not been heard of. */
    const outstanding = new Set<string>();
    const whileOpen: (() => void)[] = [];
    const whileListening: (() => void)[] = [];
    /** Undefined before it is open, and once it has failed. */
    let state: RoundState | undefined;
    let released = false;
    /** The ballot that is being looked at. */
    let heard: Incoming | undefined;

    const end = (cleanups: (() => void)[]) => {
      for (const cleanup of cleanups.splice(0)) cleanup();
    };
    const leave = () => end(whileListening);
    const tell = () => {
      leave();
      if (outstanding.size > 0) tellOver(deps, discussion);
    };
    const release = () => {
      released = true;
      const now = clock.now();
      const ageMs = now - openedAt;
      // At the deadline voters stop by themselves.
      if (outstanding.size === 0 || now >= deadlineAt) leave();
      else if (ageMs >= LINGER_MS) tell();
      else whileListening.push(lingerOn(clock, openedAt + LINGER_MS, tell));
    };
    const fail = (error: unknown) => {
      state = undefined;
      end(whileOpen);
      tell();
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
      for (const effect of effects) perform(deps, discussion, effect, heard, outstanding);
      if (next.phase !== 'decided') return;
      // As it is now: further ballots may come in this very turn.
      const ended = endOf(discussion, next, outstanding);
      resolve({ round: next, release, leave });
      // The decision is on its way to the store before anything else is seen to.
      queueMicrotask(() =>
        guarded(() => {
          end(whileOpen);
          observer.ended(ended);
        }),
      );
    };
    const feed = (input: RoundInput) =>
      guarded(() => {
        if (state?.phase !== 'open') return;
        const step = advance(state, input);
        settle(step.state, step.effects);
      });
    const hear = (message: Incoming) => {
      const token = message.subject.slice(prefix.length);
      if (state?.phase === 'open') {
        heard = message;
        return feed({ type: 'ballot', at: clock.now(), token, ballot: decodeBallot(message.data) });
      }
      observer.rejected({
        roundId,
        correlationId,
        reason: 'late',
        token,
        detail: 'the round had been decided',
        message,
      });
      if (outstanding.delete(token) && outstanding.size === 0 && released) leave();
    };

    const watch = () => {
      if (state?.phase !== 'open') return;
      if (signal.aborted) return fail(signal.reason);
      const onAbort = () => fail(signal.reason);
      signal.addEventListener('abort', onAbort, { once: true });
      whileOpen.push(() => signal.removeEventListener('abort', onAbort));
      const leftMs = Math.max(0, deadlineAt - openedAt);
      let cancel = clock.after(leftMs * NUDGE_SHARE, () => {
        const now = clock.now();
        cancel = clock.after(Math.max(0, deadlineAt - now), () => feed({ type: 'deadline', at: clock.now() }));
        feed({ type: 'nudge', at: now });
      });
      whileOpen.push(() => cancel());
    };

    guarded(() => {
      signal.throwIfAborted();
      const opened = openFor(discussion.electorate, { roundId, deadlineAt }, openedAt);
      const isOpen = opened.state.phase === 'open';
      // Before the first request goes out: the quickest voter must find us listening.
      if (isOpen) whileListening.push(bus.subscribe(subjects.ballotsOfRound(roundId), hear));
      settle(opened.state, opened.effects);
      // The client writes at the end of this turn; what comes after that costs the round nothing.
      if (isOpen) queueMicrotask(() => guarded(watch));
    });
  });
}

function endOf({ request, deadlineAt }: Discussion, round: DecidedRound, outstanding: ReadonlySet<string>): Ended {
  const { roundId, correlationId } = request;
  const { ballots, decidedAt } = round;
  const atDeadline = decidedAt >= deadlineAt && decidedAt < deadlineAt + NOTICED_LATE_MS;
  const answered = ballots.map(({ agent }) => agent);
  const [silent, unheard] = atDeadline ? [[...outstanding], []] : [[], [...outstanding]];
  return { roundId, correlationId, answered, silent, unheard };
}

/**
 * Within the protocol: the round once more, addressed to nobody and over. Voters that think about it may stop; any other ignores it. It is a hint, and
 * whoever heeds it looks into the store first: else anybody could silence a voter.
 */
function tellOver({ bus, clock, subjects }: CollectDeps, { request, capability, headers, onSaid }: Discussion): void {
  const { context: _context, ...rest } = request;
  const data = encode({ ...rest, proposal: '', roster: [], deadline: timestamp(clock.now()) });
  try {
    bus.publish(subjects.vote(capability), data, {
      reply: subjects.ballots(request.roundId),
      ...(headers === undefined ? {} : { headers }),
    });
    onSaid?.({ type: 'vote', bytes: data.length, voters: 0, again: true });
  } catch {
    // The connection is gone. What the voters still say will be late, that is all.
  }
}

function perform(
  { bus, subjects, observer }: CollectDeps,
  discussion: Discussion,
  effect: RoundEffect,
  heard: Incoming | undefined,
  outstanding: Set<string>,
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
      for (const voter of voters) outstanding.add(voter);
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
      outstanding.delete(effect.ballot.agent);
      onSaid?.({ type: 'ballot', bytes: heard?.data.length ?? 0 });
      observer.counted({ roundId, correlationId, ballot: effect.ballot });
      return;
    case 'rejected': {
      const { reason, token, detail } = effect;
      observer.rejected({
        roundId,
        correlationId,
        reason,
        token,
        detail,
        ...(heard === undefined ? {} : { message: heard }),
      });
      return;
    }
    case 'decided':
      return;
  }
}
