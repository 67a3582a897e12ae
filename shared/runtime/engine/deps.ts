/** What the engine of an agent works with; the simulation hands it in-memory parts. */
import type {
  BlobStore,
  Bus,
  Clock,
  DagStore,
  DeadLetters,
  HandOver,
  Queues,
  Random,
  Registry,
  Submissions,
} from '../../ports.ts';
import type { Subjects } from '../../protocol/subjects.ts';
import type { Tracing } from '../tracing.ts';
import type { Electors } from '../vote/electors.ts';
import type { EngineEvents } from './events.ts';

export interface Deps {
  readonly store: DagStore;
  readonly bus: Bus;
  readonly blobs: BlobStore;
  readonly dead: DeadLetters;
  readonly queues: Queues;
  readonly submissions: Submissions;
  readonly registry: Registry;
  readonly clock: Clock;
  readonly random: Random;
  /** What nobody can guess, as an id. */
  readonly salt: () => string;
  /** Who of the voters that are present is asked. */
  readonly electors: Electors;
  readonly subjects: Subjects;
  readonly agentId: string;
  readonly events: EngineEvents;
  readonly handOver: HandOver;
  readonly tracing: Tracing;
  /** Length of a lease on a work item, ms. */
  readonly leaseMs: number;
  /** Price of messages between agents. */
  readonly communication: { readonly usdPerMessage: number; readonly usdPerKiB: number };
}
