/** Pull loops of an agent: its capabilities, each with its share of the slots, and the mesh's submissions and cancels, which every agent takes. */
import { type NatsPull, natsPull } from '../adapters/nats-pull.ts';
import { ensureStreams, type StreamOptions } from '../adapters/streams.ts';
import type { Delivery } from '../ports.ts';
import { AUCTION_CAPABILITY } from '../protocol/subjects.ts';
import type { Connection } from './broker.ts';
import type { Deps } from './engine/deps.ts';
import type { Engine } from './engine/engine.ts';
import type { Metrics } from './metrics.ts';
import type { EndpointCounts } from './service-info.ts';

/** Submissions that one agent accepts at once. */
const INTAKE_AT_ONCE = 64;
const CANCELS_AT_ONCE = 8;
const AUCTIONS_AT_ONCE = 8;

export interface Pulling {
  /** Why queues give nothing, one line each; empty when all of them do. */
  problems(): readonly string[];
  /** Works on an item that another agent handed over; false: enough is being worked on, or nothing is begun any more. */
  take(delivery: Delivery, capability: string): boolean;
  stop(): Promise<void>;
  /** Resolves when nothing that was pulled is being worked on. */
  idle(): Promise<void>;
}

export async function startPulling(
  nc: Connection,
  { subjects, queues }: Pick<Deps, 'subjects' | 'queues'>,
  options: StreamOptions,
  engine: Engine,
  capabilities: readonly string[],
  slots: number,
  metrics: Metrics,
  counts: EndpointCounts,
): Promise<Pulling> {
  const working = new Set<Promise<void>>();
  /** Handed over by others, beside what was pulled: at most as much again. */
  const taken = new Map<string, number>();
  let stopped = false;
  const pulls: NatsPull[] = [];

  function pull(
    stream: string,
    consumer: string,
    credit: number,
    recreate: () => Promise<void>,
    handle: (delivery: Delivery) => Promise<void>,
  ): void {
    const queue = natsPull(nc, {
      stream,
      consumer,
      recreate,
      lowWater: Math.floor(credit / 2),
      onDelivery(delivery) {
        const work = handle(delivery).finally(() => {
          working.delete(work);
          queue.request(1);
        });
        working.add(work);
      },
    });
    pulls.push(queue);
    queue.request(credit);
  }

  async function item(delivery: Delivery, capability: string): Promise<void> {
    const startedAt = performance.now();
    metrics.tasksInProgress.inc({ capability });
    await engine.item(delivery, capability);
    metrics.tasksInProgress.dec({ capability });
    counts.handled(capability, performance.now() - startedAt);
  }

  const streams = (): Promise<void> => ensureStreams(nc, subjects, options);
  // Each capability has its share of the slots, so that what is pulled never exceeds what can be worked on.
  const share = Math.floor(slots / Math.max(1, capabilities.length));
  await Promise.all(
    capabilities.map(async (capability) => {
      await queues.ensure(capability);
      metrics.slots.set({ capability }, share);
      pull(
        subjects.dagStream,
        subjects.capabilityConsumer(capability),
        share,
        () => queues.ensure(capability),
        (delivery) => item(delivery, capability),
      );
    }),
  );
  // Auctions touch no model and take no slot: whichever agent is there holds them.
  await queues.ensure(AUCTION_CAPABILITY);
  pull(
    subjects.dagStream,
    subjects.capabilityConsumer(AUCTION_CAPABILITY),
    AUCTIONS_AT_ONCE,
    () => queues.ensure(AUCTION_CAPABILITY),
    (delivery) => engine.item(delivery, AUCTION_CAPABILITY),
  );
  pull(subjects.goalsStream, subjects.intakeConsumer, INTAKE_AT_ONCE, streams, (delivery) =>
    engine.submission(delivery),
  );
  pull(subjects.goalsStream, subjects.cancelConsumer, CANCELS_AT_ONCE, streams, (delivery) => engine.cancel(delivery));
  return {
    problems: () => pulls.flatMap((queue) => queue.problem() ?? []),
    take(delivery, capability) {
      const running = taken.get(capability) ?? 0;
      if (stopped || running >= share) return false;
      taken.set(capability, running + 1);
      const work = item(delivery, capability).finally(() => {
        working.delete(work);
        taken.set(capability, (taken.get(capability) ?? 1) - 1);
      });
      working.add(work);
      return true;
    },
    async stop() {
      stopped = true;
      await Promise.all(pulls.map((queue) => queue.stop()));
    },
    async idle() {
      while (working.size > 0) await Promise.all(working);
    },
  };
}
