/**
 * Tells whoever waits for an answer that the connection broke. The client tells nobody: a request waits out its time, and what is published before
 * the next attempt to connect is thrown away by that attempt (3.4.0: `prepare`).
 */
import type { NatsConnection } from '@nats-io/transport-node';

/** The connection broke, or was closed, before the answer came. Says nothing about whether the request was carried out. */
export class ConnectionBroke extends Error {}

export interface Outage {
  /** What was sent before and has no answer yet gets none. */
  broke(): void;
  /** What is sent from here on arrives. */
  mended?(): void;
  /** For good. Absent: as `broke`. */
  closed?(): void;
}

interface Watch {
  readonly hearers: Set<Outage>;
  broken: boolean;
  /** Of the process's clock, ms; -Infinity: it never broke. */
  mendedAt: number;
}

const perConnection = new WeakMap<NatsConnection, Watch>();

/** Returns how to stop listening. */
export function onOutage(nc: NatsConnection, hear: Outage): () => void {
  const { hearers } = watchOf(nc);
  hearers.add(hear);
  return () => void hearers.delete(hear);
}

/** What is sent now is thrown away. */
export function isBroken(nc: NatsConnection): boolean {
  return watchOf(nc).broken;
}

/** How long the connection has stood since it last broke, ms; Infinity when it never did. */
export function sinceMended(nc: NatsConnection): number {
  return performance.now() - watchOf(nc).mendedAt;
}

function watchOf(nc: NatsConnection): Watch {
  const known = perConnection.get(nc);
  if (known !== undefined) return known;
  const watch: Watch = { hearers: new Set(), broken: false, mendedAt: Number.NEGATIVE_INFINITY };
  perConnection.set(nc, watch);
  void (async () => {
    for await (const { type } of nc.status()) {
      if (type === 'disconnect') {
        watch.broken = true;
        for (const each of watch.hearers) each.broke();
      } else if (type === 'reconnect') {
        watch.broken = false;
        watch.mendedAt = performance.now();
        for (const each of watch.hearers) each.mended?.();
      }
    }
    for (const each of watch.hearers) (each.closed ?? each.broke)();
  })();
  return watch;
}
