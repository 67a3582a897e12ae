/** Publishes to a stream and resolves when the broker has stored it: the least that a client can do for that. */
import { createInbox, type NatsConnection } from '@nats-io/transport-node';

export type Store = (subject: string, payload: Uint8Array) => Promise<void>;

export function storing(nc: NatsConnection): Store {
  const inbox = createInbox();
  const waiting = new Map<string, PromiseWithResolvers<void>>();
  let sent = 0;
  nc.subscribe(`${inbox}.*`, {
    callback: (error, message) => {
      const publish = waiting.get(message.subject);
      waiting.delete(message.subject);
      const text = error === null ? message.string() : error.message;
      if (text.startsWith('{"stream":')) publish?.resolve();
      else publish?.reject(new Error(`expected a receipt of the stream, got ${text || 'no responder'}`));
    },
  });
  return (subject, payload) => {
    sent += 1;
    const reply = `${inbox}.${sent}`;
    const publish = Promise.withResolvers<void>();
    waiting.set(reply, publish);
    nc.publish(subject, payload, { reply });
    return publish.promise;
  };
}
