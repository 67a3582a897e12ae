/** Holds rounds with the product's own proposer, and notes whom each of them asked. */
import { natsBus } from '../../../shared/adapters/nats-bus.ts';
import { connectBroker } from '../../../shared/adapters/nats-connect.ts';
import { natsDagStore } from '../../../shared/adapters/nats-dag.ts';
import { ensureStreams } from '../../../shared/adapters/streams.ts';
import { subjectsOf } from '../../../shared/protocol/subjects.ts';
import type { RoundRecord, VoteRequest } from '../../../shared/protocol/vote.ts';
import { systemClock } from '../../../shared/runtime/broker.ts';
import type { RoundObserver } from '../../../shared/runtime/vote/observer.ts';
import { type HoldSpec, holdRound } from '../../../shared/runtime/vote/proposer.ts';

export interface Round {
  readonly record: RoundRecord;
  /** Voters who were asked, each once. */
  readonly asked: ReadonlySet<string>;
  /** Some had not answered after a third of the time, and were asked again. */
  readonly again: boolean;
}

export interface Asker {
  hold(spec: RoundOf, watch?: Watch): Promise<Round>;
  close(): Promise<void>;
}

export type RoundOf = Pick<
  HoldSpec,
  'roundId' | 'capability' | 'proposal' | 'options' | 'rule' | 'roster' | 'deadlineMs'
> & { readonly context: NonNullable<VoteRequest['context']> };

/** What happens in a round while it runs. */
export interface Watch {
  asked(voters: readonly string[]): void;
  counted(voter: string): void;
}

const UNWATCHED: Watch = { asked: () => undefined, counted: () => undefined };

/** Makes sure of the mesh's streams. */
export async function startAsker(url: string, mesh: string): Promise<Asker> {
  const nc = await connectBroker({ url, name: 'asker' });
  const subjects = subjectsOf(mesh);
  await ensureStreams(nc, subjects, { replicas: 1 });
  const deps = {
    bus: natsBus(nc, [subjects.ballotsOfRounds]),
    store: natsDagStore(nc, subjects),
    clock: systemClock,
    subjects,
    agentId: 'asker',
  };
  const { signal } = new AbortController();
  return {
    async hold(spec, watch = UNWATCHED) {
      const asked = new Set<string>();
      let again = false;
      const observer: RoundObserver = {
        asked: (event) => {
          again ||= event.again;
          for (const voter of event.voters) asked.add(voter);
          watch.asked(event.voters);
        },
        counted: ({ ballot }) => watch.counted(ballot.agent),
        rejected: () => undefined,
        decided: () => undefined,
        ended: () => undefined,
      };
      // Every round of a run has an id that is new to its mesh.
      const held = { ...spec, correlationId: spec.roundId, signal, fresh: true };
      const record = await holdRound({ ...deps, observer }, held);
      return { record, asked, again };
    },
    close: () => nc.close(),
  };
}
