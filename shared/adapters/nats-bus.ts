/** At-most-once messaging over core NATS. */
import { headers, type Msg, type MsgHdrs, type NatsConnection } from '@nats-io/transport-node';
import type { Bus, Incoming } from '../ports.ts';
import { shortSubscriptions } from './short-subscriptions.ts';

/** `short`: patterns `<start>.*.*` of subjects `<start>.<id>.*`, of which many are subscribed to, each for a short time. */
export function natsBus(nc: NatsConnection, short: readonly string[] = []): Bus {
  const subscribeShortly = shortSubscriptions(nc);
  return {
    publish(subject, data, options = {}) {
      nc.publish(subject, data, {
        ...(options.reply === undefined ? {} : { reply: options.reply }),
        ...(options.headers === undefined ? {} : { headers: headersOf(options.headers) }),
      });
    },
    subscribe(subject, handle, { queue } = {}) {
      const kind = subject.endsWith('.*')
        ? short.find((pattern) => subject.startsWith(pattern.slice(0, -'*.*'.length)))
        : undefined;
      if (kind !== undefined && queue === undefined)
        return subscribeShortly(kind, subject.slice(0, -'*'.length), (message) => handle(incoming(message)));
      const subscription = nc.subscribe(subject, {
        ...(queue === undefined ? {} : { queue }),
        callback: (error, message) => {
          if (error === null) handle(incoming(message));
        },
      });
      return () => subscription.unsubscribe();
    },
    flush: () => nc.flush(),
  };
}

function incoming(message: Msg): Incoming {
  // The client says '' where its type says undefined.
  const reply = message.reply === '' ? undefined : message.reply;
  return {
    subject: message.subject,
    data: message.data,
    reply,
    header: (name) => message.headers?.get(name) || undefined,
  };
}

function headersOf(values: Readonly<Record<string, string>>): MsgHdrs {
  const made = headers();
  for (const [name, value] of Object.entries(values)) made.set(name, value);
  return made;
}
