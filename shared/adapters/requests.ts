/**
 * Request and reply over one subscription, for the thousands of requests a second that the store makes. The client's own `request` sets a timer,
 * races two promises and captures an Error with its stack for every answer, also good ones (3.4.0: `RequestOne.cancel`); that was a quarter of a
 * busy agent's processor time.
 */
import { onOutage } from './outage.ts';
import { type Outgoing, outboxOf } from './outbox.ts';
import { createInbox, type Msg, type MsgHdrs, type NatsConnection } from '@nats-io/transport-node';

/** Nobody answered: no responder, no answer in time, or the connection is gone. Says nothing about whether the request was carried out. */
class NoAnswer extends Error {}

export type Request = (subject: string, data: Uint8Array | string, headers?: MsgHdrs) => Promise<Msg>;

interface Waiting {
  readonly resolve: (message: Msg) => void;
  readonly reject: (error: Error) => void;
  readonly subject: string;
  readonly due: number;
}

const TIMEOUT_MS = 5_000;
const CHECK_MS = 500;
const NO_RESPONDERS = 503;

const perConnection = new WeakMap<NatsConnection, Request>();

/**
 * The connection's request function; one subscription per connection. An answer that takes longer than 5 s is NoAnswer. When the connection breaks, what
 * waits for an answer is NoAnswer at once, and what is asked from then on leaves when the connection stands again.
 */
export function requestsOf(nc: NatsConnection): Request {
  const known = perConnection.get(nc);
  if (known !== undefined) return known;
  const made = make(nc);
  perConnection.set(nc, made);
  return made;
}

function make(nc: NatsConnection): Request {
  const inbox = createInbox(inboxPrefixOf(nc));
  const outbox = outboxOf(nc);
  const waiting = new Map<string, Waiting>();
  let requests = 0;
  let checking: NodeJS.Timeout | undefined;
  /** Requests that wait for the connection, by token; undefined while it stands. */
  let held: Map<string, Outgoing> | undefined;

  function lose(why: string): void {
    for (const [token, one] of waiting) {
      if (held?.has(token) === true) continue;
      waiting.delete(token);
      one.reject(new NoAnswer(`no answer on ${one.subject}: ${why}`));
    }
  }

  onOutage(nc, {
    broke() {
      lose('the connection broke');
      held ??= new Map();
    },
    mended() {
      for (const message of held?.values() ?? []) outbox(message);
      held = undefined;
    },
    closed() {
      held = undefined;
      lose('the connection is closed');
    },
  });

  nc.subscribe(`${inbox}.*`, {
    callback: (_error, message) => {
      const token = message.subject.slice(inbox.length + 1);
      const one = waiting.get(token);
      if (one === undefined) return;
      waiting.delete(token);
      if (message.data.length === 0 && message.headers?.code === NO_RESPONDERS)
        one.reject(new NoAnswer(`nobody serves ${one.subject}`));
      else one.resolve(message);
    },
  });

  /** One timer for all: a request waits at most CHECK_MS longer than its time. */
  function check(): void {
    const now = performance.now();
    for (const [token, one] of waiting) {
      if (one.due > now) break;
      waiting.delete(token);
      held?.delete(token);
      one.reject(new NoAnswer(`no answer on ${one.subject} within ${TIMEOUT_MS} ms`));
    }
    if (waiting.size > 0) return;
    clearInterval(checking);
    checking = undefined;
  }

  return (subject, data, headers) =>
    new Promise((resolve, reject) => {
      requests += 1;
      const token = requests.toString(36);
      waiting.set(token, { resolve, reject, subject, due: performance.now() + TIMEOUT_MS });
      checking ??= setInterval(check, CHECK_MS).unref();
      const message: Outgoing = {
        subject,
        data,
        reply: `${inbox}.${token}`,
        ...(headers === undefined ? {} : { headers }),
        failed(error) {
          waiting.delete(token);
          reject(new NoAnswer(error instanceof Error ? error.message : String(error)));
        },
      };
      if (held === undefined) outbox(message);
      else held.set(token, message);
    });
}

/** The prefix given to `connect`; part of the connection, not of its public type. */
export function inboxPrefixOf(nc: NatsConnection): string {
  const options: unknown = Reflect.get(nc, 'options');
  const prefix: unknown =
    typeof options === 'object' && options !== null ? Reflect.get(options, 'inboxPrefix') : undefined;
  return typeof prefix === 'string' ? prefix : '_INBOX';
}
