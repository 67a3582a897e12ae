/** One voter in memory, and a proposer that asks it. */
import type { Bus } from '../../../shared/ports.ts';
import { encode } from '../../../shared/protocol/codec.ts';
import { Ballot, type VoteRequest } from '../../../shared/protocol/vote.ts';
import { type Opinion, serveVotes, type VoterDeps, type VoterOptions } from '../../../shared/runtime/vote/voter.ts';
import { MemoryBroker, VirtualClock } from '../../support/memory-bus.ts';
import { RecordingVoterObserver, subjects } from './fixture.ts';

/** A decision that a test ends by hand. */
export interface Pondering {
  readonly request: VoteRequest;
  readonly signal: AbortSignal;
  conclude(opinion: Opinion): void;
  fail(error: unknown): void;
}

export function voterMesh(
  options: Partial<VoterOptions> = {},
  deps: Partial<VoterDeps> = {},
  wrap: (bus: Bus) => Bus = (bus) => bus,
) {
  const clock = new VirtualClock();
  const broker = new MemoryBroker({ clock });
  const observer = new RecordingVoterObserver();
  const ponderings: Pondering[] = [];
  const ponder: VoterOptions['decide'] = (request, signal) => {
    const { promise, resolve, reject } = Promise.withResolvers<Opinion>();
    signal.addEventListener('abort', () => reject(signal.reason));
    ponderings.push({ request, signal, conclude: resolve, fail: reject });
    return promise;
  };
  const service = serveVotes(
    { bus: wrap(broker.connect('v1')), clock, subjects, observer, ...deps },
    { agentId: 'v1', capabilities: ['review'], concurrency: 2, queueMax: 2, decide: ponder, ...options },
  );
  const proposer = broker.connect('proposer');
  const request: VoteRequest = {
    roundId: 'round',
    proposal: 'Ship it',
    options: ['approve', 'reject'],
    rule: { method: 'majority', quorum: 2 },
    roster: ['v1', 'v2'],
    deadline: '2030-01-01T00:00:03.000Z',
    correlationId: 'c-1',
  };
  return {
    clock,
    broker,
    observer,
    ponderings,
    service,
    async ask(fields: Partial<VoteRequest> = {}, publish: { reply?: string; headers?: Record<string, string> } = {}) {
      const asked = { ...request, ...fields };
      const reply = subjects.ballots(asked.roundId);
      proposer.publish(subjects.vote('review'), encode(asked), { reply, ...publish });
      await clock.advance(1);
    },
    /** Everything the voter published, as `subject position`. */
    ballots: () =>
      broker.published.filter(({ from }) => from === 'v1').map(({ subject, data }) => `${subject} ${positionOf(data)}`),
    lastBallot: () => ballotIn(broker.published.findLast(({ from }) => from === 'v1')?.data ?? encode({})),
    ignored: () => observer.ignores.map(({ reason }) => reason),
  };
}

export const ballotIn = (data: Uint8Array) => Ballot.parse(JSON.parse(new TextDecoder().decode(data)));
const positionOf = (data: Uint8Array) => ballotIn(data).position;

export const approve: VoterOptions['decide'] = () =>
  Promise.resolve({ position: 'approve', confidence: 0.5, rationale: 'sound' });
