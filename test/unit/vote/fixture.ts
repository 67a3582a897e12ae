/** One mesh in memory for the tests of votes: virtual time, broker, store, and observers that remember. */
import type {
  Answered,
  Asked,
  Counted,
  Decided,
  Ended,
  Ignored,
  Rejected,
  RoundObserver,
  VoteFailed,
  VoterObserver,
} from '../../../shared/runtime/vote/observer.ts';
import { type HoldSpec, holdRound, type ProposerDeps } from '../../../shared/runtime/vote/proposer.ts';
import { encode } from '../../../shared/protocol/codec.ts';
import { subjectsOf } from '../../../shared/protocol/subjects.ts';
import { type Ballot, type RoundRecord, VoteRequest } from '../../../shared/protocol/vote.ts';
import { MemoryBroker, promisesSettled, VirtualClock } from '../../support/memory-bus.ts';
import { MemoryDag } from '../../support/memory-dag.ts';

export const subjects = subjectsOf('mesh');

export class RecordingRoundObserver implements RoundObserver {
  readonly asks: Asked[] = [];
  readonly counts: Counted[] = [];
  readonly rejections: Rejected[] = [];
  readonly ends: Ended[] = [];
  readonly decisions: Decided[] = [];

  asked(event: Asked): void {
    this.asks.push(event);
  }
  counted(event: Counted): void {
    this.counts.push(event);
  }
  rejected(event: Rejected): void {
    this.rejections.push(event);
  }
  ended(event: Ended): void {
    this.ends.push(event);
  }
  decided(event: Decided): void {
    this.decisions.push(event);
  }
}

export class RecordingVoterObserver implements VoterObserver {
  readonly ignores: Ignored[] = [];
  readonly answers: Answered[] = [];
  readonly failures: VoteFailed[] = [];

  ignored(event: Ignored): void {
    this.ignores.push(event);
  }
  answered(event: Answered): void {
    this.answers.push(event);
  }
  failed(event: VoteFailed): void {
    this.failures.push(event);
  }
}

export function mesh() {
  const clock = new VirtualClock();
  const broker = new MemoryBroker({ clock });
  const dag = new MemoryDag({ subjects });
  const observer = new RecordingRoundObserver();
  const proposer: ProposerDeps = {
    bus: broker.connect('proposer'),
    store: dag,
    clock,
    subjects,
    agentId: 'proposer',
    observer,
  };
  const stranger = broker.connect('stranger');

  return {
    clock,
    broker,
    dag,
    observer,
    proposer,
    /** Requests as they went out, oldest first. */
    requests: () =>
      broker.published
        .filter(({ subject }) => subject.startsWith('mesh.vote.'))
        .map(({ data }) => VoteRequest.parse(JSON.parse(new TextDecoder().decode(data)))),
    /** Puts a ballot on the wire under the token `from`, as the broker would let that agent do. */
    async cast(ballot: unknown, from: string, roundId = 'round'): Promise<void> {
      stranger.publish(subjects.ballot(roundId, from), encode(ballot));
      await clock.advance(1);
    },
    /** Starts a round and lets its first requests go out. */
    async hold(spec: Partial<HoldSpec> = {}, deps: ProposerDeps = proposer): Promise<Held> {
      const held = new Held(holdRound(deps, { ...SPEC, ...spec }));
      await clock.advance(1);
      return held;
    },
    /** Resolves when all virtual events are over. */
    settle: () => clock.run(),
  };
}

/** A round under way whose end can be asked for without waiting. */
export class Held {
  record: RoundRecord | undefined;
  error: unknown;
  readonly result: Promise<RoundRecord>;

  constructor(result: Promise<RoundRecord>) {
    this.result = result;
    void this.#remember();
  }

  async #remember(): Promise<void> {
    try {
      this.record = await this.result;
    } catch (error) {
      this.error = error;
    }
  }

  async ended(): Promise<boolean> {
    await promisesSettled();
    return this.record !== undefined || this.error !== undefined;
  }
}

const SPEC: HoldSpec = {
  roundId: 'round',
  capability: 'review',
  proposal: 'Ship it',
  options: ['approve', 'reject'],
  rule: { method: 'majority' },
  roster: ['v1', 'v2', 'v3', 'v4', 'v5'],
  deadlineMs: 3_000,
  correlationId: 'c-1',
  signal: new AbortController().signal,
};

export function ballotOf(agent: string, position: string, fields: Partial<Ballot> = {}): Ballot {
  return { roundId: 'round', agent, position, timestamp: '2030-01-01T00:00:00.000Z', ...fields };
}
