/** At-most-once messaging over core NATS. */
import { headers, type MsgHdrs, type NatsConnection } from '@nats-io/transport-node';
import type { Bus } from '../ports.ts';

export function natsBus(nc: NatsConnection): Bus {
  return {
    publish(subject, data, options = {}) {
      nc.publish(subject, data, {
        ...(options.reply === undefined ? {} : { reply: options.reply }),
        ...(options.headers === undefined ? {} : { headers: headersOf(options.headers) }),
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

function headersOf(values: Readonly<Record<string, string>>): MsgHdrs {
  const made = headers();
  for (const [name, value] of Object.entries(values)) made.set(name, value);
  return made;
}
