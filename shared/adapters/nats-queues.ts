/** The shared queue of each capability, as the broker sees it. */
import { JetStreamApiError, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { Queues } from '../ports.ts';
import type { Subjects } from '../protocol/subjects.ts';
import { ensureCapability } from './streams.ts';

/** `create`: false for a user who may create nothing; then a queue is made by `conclave admin init`, and items wait for it in the stream. */
export function natsQueues(nc: NatsConnection, subjects: Subjects, create: boolean): Queues {
  return {
    async ensure(capability) {
      if (create) await ensureCapability(nc, subjects, capability);
    },
    async state(capability) {
      const jsm = await jetstreamManager(nc, { checkAPI: false, timeout: 5_000 });
      try {
        const info = await jsm.consumers.info(subjects.dagStream, subjects.capabilityConsumer(capability));
        return { waiting: info.num_pending, held: info.num_ack_pending, deliveredUpTo: info.delivered.stream_seq };
      } catch (error) {
        if (error instanceof JetStreamApiError && error.code === CONSUMER_NOT_FOUND) return undefined;
        throw error;
      }
    },
  };
}

const CONSUMER_NOT_FOUND = 10014;
