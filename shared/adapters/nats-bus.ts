/** At-most-once messaging over core NATS. */
import { headers, type NatsConnection } from '@nats-io/transport-node';
import type { Bus } from '../ports.ts';

export function natsBus(nc: NatsConnection): Bus {
  return {
    publish(subject, data, options = {}) {
      const h = headers();
      for (const [name, value] of Object.entries(options.headers ?? {})) h.set(name, value);
      nc.publish(subject, data, {
        ...(options.reply === undefined ? {} : { reply: options.reply }),
        ...(options.headers === undefined ? {} : { headers: h }),
      });
    },
    subscribe(subject, handle, options = {}) {
      const subscription = nc.subscribe(subject, {
        ...(options.queue === undefined ? {} : { queue: options.queue }),
        callback: (error, message) => {
          if (error !== null) return;
          // The client says '' where its type says undefined.
          const reply = message.reply === '' ? undefined : message.reply;
          handle({
            subject: message.subject,
            data: message.data,
            reply,
            header: (name) => message.headers?.get(name) || undefined,
          });
        },
      });
      return () => subscription.unsubscribe();
    },
    flush: () => nc.flush(),
  };
}
