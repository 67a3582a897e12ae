/**
 * Short subscriptions of one kind, such as the ballots of one round after the other. Each holds a wildcard, and costs the broker a walk through its cache of
 * subjects when it comes and another when it goes: measured, 75 us of its processor time for a round whose messages take 260. So
 *  - those that are over are dropped together, a moment later; nobody hears what still arrives;
 *  - whoever opens many a second hears all of them by one subscription to the whole kind, unless most of what comes by it is meant for others, which is thrown
 *    away by its subject.
 */
import type { Msg, NatsConnection, Subscription } from '@nats-io/transport-node';

type Hear = (message: Msg) => void;

/** Subscribes to `<start>*`, which `kind` covers. The returned function ends it. */
export type SubscribeShortly = (kind: string, start: string, hear: Hear) => () => void;

const DROP_MS = 50;
const WINDOW_MS = 1_000;
/** So many in one window are worth a subscription to the whole kind. */
const OPENED_MIN = 16;
/** Messages for others that each of our own may cost: one takes about a tenth of what a subscription does. */
const FOREIGN_MAX = 5;
/** After a window with more than that, each has its own for so long. */
const APART_MS = 60_000;

export function shortSubscriptions(nc: NatsConnection): SubscribeShortly {
  const kinds = new Map<string, Together>();
  let dropped: Subscription[] = [];

  function drop(subscription: Subscription): void {
    if (dropped.length === 0) setTimeout(dropAll, DROP_MS).unref();
    dropped.push(subscription);
  }

  function dropAll(): void {
    for (const subscription of dropped) subscription.unsubscribe();
    dropped = [];
  }

  return (kind, start, hear) => {
    let together = kinds.get(kind);
    if (together === undefined) {
      together = togetherOf(nc, kind);
      kinds.set(kind, together);
    }
    const shared = together(start, hear);
    if (shared !== undefined) return shared;
    let over = false;
    const subscription = listen(nc, `${start}*`, (message) => {
      if (!over) hear(message);
    });
    return () => {
      over = true;
      drop(subscription);
    };
  };
}

/** Undefined: it has to be a subscription of its own. */
type Together = (start: string, hear: Hear) => (() => void) | undefined;

function togetherOf(nc: NatsConnection, kind: string): Together {
  const hearers = new Map<string, Hear>();
  let whole: { readonly subscription: Subscription; readonly watch: NodeJS.Timeout } | undefined;
  /** Who comes now hears by the whole; who heard by it does so to the end. */
  let taking = false;
  let windowEndsAt = 0;
  let apartUntil = 0;
  let opened = 0;
  let foreign = 0;

  function nextWindow(now: number): void {
    windowEndsAt = now + WINDOW_MS;
    opened = 0;
    foreign = 0;
  }

  function take(now: number): void {
    taking = true;
    whole ??= {
      subscription: listen(nc, kind, (message) => {
        const hear = hearers.get(message.subject.slice(0, message.subject.lastIndexOf('.') + 1));
        if (hear === undefined) foreign += 1;
        else hear(message);
      }),
      watch: setInterval(look, WINDOW_MS).unref(),
    };
    nextWindow(now);
  }

  function look(): void {
    const now = performance.now();
    const costly = foreign > opened * FOREIGN_MAX;
    if (costly) apartUntil = now + APART_MS;
    if (costly || opened < OPENED_MIN) taking = false;
    nextWindow(now);
    endUnlessUsed();
  }

  function endUnlessUsed(): void {
    if (whole === undefined || taking || hearers.size > 0) return;
    whole.subscription.unsubscribe();
    clearInterval(whole.watch);
    whole = undefined;
  }

  return (start, hear) => {
    const now = performance.now();
    if (whole === undefined && now >= windowEndsAt) nextWindow(now);
    opened += 1;
    if (!taking && opened >= OPENED_MIN && now >= apartUntil) take(now);
    if (!taking || hearers.has(start)) return undefined;
    hearers.set(start, hear);
    return () => {
      hearers.delete(start);
      endUnlessUsed();
    };
  };
}

function listen(nc: NatsConnection, subject: string, hear: Hear): Subscription {
  return nc.subscribe(subject, {
    callback: (error, message) => {
      if (error === null) hear(message);
    },
  });
}
