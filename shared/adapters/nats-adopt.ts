/** Takes over a work item that another agent was given. The item itself is read from the stream: nothing of it is taken at the other agent's word. */
import type { NatsConnection } from '@nats-io/transport-node';
import type { Adopt } from '../ports.ts';
import { isBelow, type Subjects } from '../protocol/subjects.ts';
import { messageAt } from './nats-dag.ts';
import { deliveryAt } from './nats-pull.ts';
import { outboxOf } from './outbox.ts';

export function natsAdopt(nc: NatsConnection, subjects: Subjects): Adopt {
  return async (handle, capability) => {
    const sequence = subjects.sequenceOfHandle(handle, capability);
    const item = sequence === undefined ? undefined : await messageAt(nc, subjects.dagStream, sequence);
    if (item === undefined || !isBelow(subjects.readyOfCapability(capability), item.subject)) return undefined;
    return deliveryAt(handle, item.subject, item.data, outboxOf(nc));
  };
}
