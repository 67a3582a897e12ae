/**
 * Publishes of one turn of the event loop leave together. The client flushes after each microtask, so a busy agent would make one system call (and the
 * broker one read) for every write, read and acknowledgement; here they are handed over at the end of the turn and share one.
 */
import type { MsgHdrs, NatsConnection } from '@nats-io/transport-node';

export interface Outgoing {
  readonly subject: string;
  readonly data: Uint8Array | string;
  readonly reply?: string;
  readonly headers?: MsgHdrs;
  /** The connection did not take it. */
  readonly failed?: (error: unknown) => void;
}

export type Outbox = (message: Outgoing) => void;

const perConnection = new WeakMap<NatsConnection, Outbox>();

/** One outbox per connection; order is kept. */
export function outboxOf(nc: NatsConnection): Outbox {
  const known = perConnection.get(nc);
  if (known !== undefined) return known;
  let waiting: Outgoing[] = [];

  function send(): void {
    const turn = waiting;
    waiting = [];
    for (const { subject, data, reply, headers, failed } of turn) {
      try {
        nc.publish(subject, data, {
          ...(reply === undefined ? {} : { reply }),
          ...(headers === undefined ? {} : { headers }),
        });
      } catch (error) {
        failed?.(error);
      }
    }
  }

  const made: Outbox = (message) => {
    if (waiting.length === 0) setImmediate(send);
    waiting.push(message);
  };
  perConnection.set(nc, made);
  return made;
}
