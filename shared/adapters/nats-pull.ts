/**
 * A pull consumer driven by credit: the broker hands out exactly as many items as there are free slots, and each slot that frees asks for one more.
 * The client's own `consume` counts a message as done when its callback returns, and `fetch` costs a subscription a call; measured at 6,000 tasks/s
 * neither fits, so the three lines of protocol (`CONSUMER.MSG.NEXT`, its statuses, the ack subject) are spoken here.
 */
import { createInbox, type Msg, nanos, type NatsConnection } from '@nats-io/transport-node';
import type { Delivery, Pull } from '../ports.ts';
import { TRACEPARENT_HEADER } from '../protocol/headers.ts';
import { type Outbox, outboxOf } from './outbox.ts';
import { inboxPrefixOf } from './requests.ts';

export interface PullOptions {
  readonly stream: string;
  readonly consumer: string;
  readonly onDelivery: (delivery: Delivery) => void;
  /** The consumer is not there (any more): create it. Called at most once at a time. */
  readonly recreate: () => Promise<void>;
  /** Below this much outstanding credit a further request is sent; above it, credit is saved up for one larger request. */
  readonly lowWater?: number;
}

const EXPIRES_MS = 20_000;
const RETRY_MS = 250;
const ACK = '+ACK';
const WORKING = '+WPI';

export interface NatsPull extends Pull {
  /** Why nothing arrives, in one line; undefined while the broker takes the requests. */
  problem(): string | undefined;
}

export function natsPull(nc: NatsConnection, options: PullOptions): NatsPull {
  const inbox = createInbox(inboxPrefixOf(nc));
  const next = `$JS.API.CONSUMER.MSG.NEXT.${options.stream}.${options.consumer}`;
  const outbox = outboxOf(nc);
  const lowWater = options.lowWater ?? 1;
  /** Credit that the broker knows of, and credit that waits to be sent. */
  let outstanding = 0;
  let saved = 0;
  let lastRequest = 0;
  let stopped = false;
  let scheduled = false;
  let recreating = false;
  let requests = 0;
  let problem: string | undefined;

  const subscription = nc.subscribe(`${inbox}.*`, {
    callback: (error, message) => {
      if (error !== null) return;
      if (isStatus(message)) onStatus(message);
      else {
        outstanding = Math.max(0, outstanding - 1);
        problem = undefined;
        if (saved > 0) schedule();
        options.onDelivery(delivery(message, outbox));
      }
    },
  });

  function send(): void {
    scheduled = false;
    if (stopped || saved === 0 || outstanding > lowWater || nc.isClosed()) return;
    const batch = saved;
    saved = 0;
    outstanding += batch;
    requests += 1;
    lastRequest = Date.now();
    outbox({
      subject: next,
      data: JSON.stringify({ batch, expires: nanos(EXPIRES_MS) }),
      reply: `${inbox}.${requests}`,
    });
  }

  /** Slots that free in the same turn share one request. */
  function schedule(): void {
    if (scheduled || stopped) return;
    scheduled = true;
    queueMicrotask(send);
  }

  function onStatus(message: Msg): void {
    const code = message.headers?.code ?? 0;
    if (code === 100) return;
    const left = Number.parseInt(message.headers?.get('Nats-Pending-Messages') ?? '', 10);
    // A status that does not say how much of its request is left ends all that we count on.
    const freed = Number.isNaN(left) ? outstanding : Math.min(left, outstanding);
    outstanding -= freed;
    saved += freed;
    // 408: the request expired. Everything else says that the consumer moved, or is not there.
    if (code === 408) {
      problem = undefined;
      schedule();
    } else void recover();
  }

  async function recover(): Promise<void> {
    if (recreating || stopped) return;
    recreating = true;
    try {
      await options.recreate();
      problem = undefined;
    } catch (error) {
      // The broker, or a part of it, is away; the timer below asks again.
      const what = error instanceof Error ? error.message : String(error);
      problem = `consumer ${options.consumer} of stream ${options.stream} cannot be had: ${what}`;
    }
    setTimeout(() => {
      recreating = false;
      schedule();
    }, RETRY_MS).unref();
  }

  // Requests die unseen with a broker or a connection: credit without an answer past its expiry is taken back and asked for again.
  const watchdog = setInterval(() => {
    if (outstanding > 0 && Date.now() - lastRequest > EXPIRES_MS + 2_000) forget();
  }, 5_000);
  watchdog.unref();

  function forget(): void {
    saved += outstanding;
    outstanding = 0;
    void recover();
  }

  void (async () => {
    for await (const status of nc.status()) if (status.type === 'reconnect') forget();
  })();

  return {
    problem: () => problem,
    request(count) {
      saved += count;
      schedule();
    },
    async stop() {
      stopped = true;
      clearInterval(watchdog);
      await subscription.drain();
    },
  };
}

function isStatus(message: Msg): boolean {
  return message.data.length === 0 && (message.headers?.code ?? 0) !== 0;
}

function delivery(message: Msg, outbox: Outbox): Delivery {
  // Work items have no headers, and the client parses them only when there are some.
  const traceparent = message.headers?.get(TRACEPARENT_HEADER);
  return deliveryAt(message.reply ?? '', message.subject, message.data, outbox, traceparent);
}

/** `handle`: `$JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>...`, or the same with domain and account before the stream. */
export function deliveryAt(
  handle: string,
  subject: string,
  data: Uint8Array,
  outbox: Outbox,
  traceparent?: string,
): Delivery {
  const answer = (word: string): void => outbox({ subject: handle, data: word });
  const tokens = handle.split('.');
  const at = tokens.length === 9 ? 4 : 6;
  return {
    subject,
    data,
    handle,
    deliveries: Number(tokens[at]),
    sequence: Number(tokens[at + 1]),
    storedAt: Number(tokens[at + 3]) / 1e6,
    traceparent,
    ack: () => answer(ACK),
    retry: (delayMs) => answer(delayMs > 0 ? `-NAK ${JSON.stringify({ delay: nanos(delayMs) })}` : '-NAK'),
    extend: () => answer(WORKING),
  };
}
