/**
 * Dead letters of vote requests and ballots that are no such thing. What is merely late, said twice, or not for this voter is a matter of course and is
 * counted and logged alone.
 */
import { createHash } from 'node:crypto';
import type { RejectReason } from '../../core/round.ts';
import type { Clock, DeadLetters, Incoming } from '../../ports.ts';
import { timestamp } from '../../protocol/ids.ts';
import type { IgnoredReason, RoundObserver, VoterObserver } from './observer.ts';

interface BuryingDeps {
  readonly dead: DeadLetters;
  readonly clock: Clock;
  readonly events: {
    deadLetter(origin: 'vote', code: string, ids: object): void;
    engineError(where: 'vote', error: unknown, ids: object): void;
  };
}

const POISON_REQUESTS: readonly IgnoredReason[] = ['malformed', 'foreign_reply'];
const POISON_BALLOTS: readonly RejectReason[] = ['malformed', 'wrong_round', 'agent_mismatch', 'unknown_position'];

type Bury = (code: string, detail: string, message: Incoming) => void;

function buryWith({ dead, clock, events }: BuryingDeps): Bury {
  return (code, detail, { subject, data }) => {
    // A request reaches every voter: named by what it is, one letter of them all is kept.
    const name = createHash('sha256').update(subject).update('\0').update(data).digest('base64url');
    const letter = {
      origin: 'vote' as const,
      subject,
      reason: { code, message: detail },
      payload: Buffer.from(data).toString('base64'),
      at: timestamp(clock.now()),
    };
    dead.put(letter, `vote.${name}`).then(
      () => events.deadLetter('vote', code, {}),
      (error: unknown) => events.engineError('vote', error, {}),
    );
  };
}

export function buryingRequests(observer: VoterObserver, deps: BuryingDeps): VoterObserver {
  const bury = buryWith(deps);
  return {
    ...observer,
    ignored(event) {
      observer.ignored(event);
      if (POISON_REQUESTS.includes(event.reason)) bury(`vote_${event.reason}`, event.detail, event.message);
    },
  };
}

export function buryingBallots(observer: RoundObserver, deps: BuryingDeps): RoundObserver {
  const bury = buryWith(deps);
  return {
    ...observer,
    rejected(event) {
      observer.rejected(event);
      const { reason, detail, message } = event;
      if (message !== undefined && POISON_BALLOTS.includes(reason)) bury(`ballot_${reason}`, detail, message);
    },
  };
}
