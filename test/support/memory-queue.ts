/**
 * A JetStream consumer in memory, in virtual time: credit, leases, redelivery, delayed naks. As on the broker an ack, a nak and an extension
 * name the item and not the delivery, so that those of a holder that lost its lease count too: they never fence.
 */
import type { Delivery, Pull, QueueState, Random } from '../../shared/ports.ts';
import type { VirtualClock } from './memory-bus.ts';

/** Shares of all deliveries, 0 to 1. */
export interface QueueFaults {
  /** The same delivery twice, with the same count. */
  readonly copy?: number;
  /** Delivered again while its holder still has its lease, as after extensions that were lost. */
  readonly early?: number;
  /** Under way for longer: delays reorder. */
  readonly delay?: number;
  readonly delayMsMax?: number;
}

/** What happened. */
export interface QueueCounts {
  delivered: number;
  copied: number;
  early: number;
  delayed: number;
  expired: number;
  retried: number;
}

export interface MemoryQueueOptions {
  readonly clock: VirtualClock;
  readonly random: Random;
  /** How long a lease lasts without an extension, ms. */
  readonly leaseMs: number;
  /** What a delivery takes, and what an acknowledgement takes, ms. */
  readonly latencyMs?: number;
  readonly faults?: QueueFaults;
}

interface Item {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly sequence: number;
  readonly storedAt: number;
  deliveries: number;
  /** Time at which the item is handed out again; undefined: it waits for credit. */
  heldUntil: number | undefined;
  timer: (() => void) | undefined;
}

/** A consumer's end of the queue. After `close` nothing reaches it, and its credit is gone, as after the death of its process. */
export interface MemoryPull extends Pull {
  close(): void;
}

interface Consumer {
  credit: number;
  stopped: boolean;
  closed: boolean;
  readonly onDelivery: (delivery: Delivery) => void;
}

export class MemoryQueue {
  readonly counts: QueueCounts = { delivered: 0, copied: 0, early: 0, delayed: 0, expired: 0, retried: 0 };
  /** Called when an item is acknowledged for good. */
  onAck: (subject: string, sequence: number) => void = () => {};
  /** How often each item was handed out, for ever: what proves that a lease was lost. */
  readonly handedOut = new Map<number, number>();
  readonly #items = new Map<number, Item>();
  readonly #consumers: Consumer[] = [];
  readonly #clock: VirtualClock;
  readonly #random: Random;
  readonly #leaseMs: number;
  readonly #latencyMs: number;
  readonly #faults: Required<QueueFaults>;
  #deliveredUpTo = 0;
  #scheduled = false;

  constructor(options: MemoryQueueOptions) {
    this.#clock = options.clock;
    this.#random = options.random;
    this.#leaseMs = options.leaseMs;
    this.#latencyMs = options.latencyMs ?? 0;
    this.#faults = { copy: 0, early: 0, delay: 0, delayMsMax: 0, ...options.faults };
  }

  /** Items that nobody acknowledged. */
  get open(): number {
    return this.#items.size;
  }

  push(subject: string, data: Uint8Array, sequence: number): void {
    const storedAt = this.#clock.now();
    const item = { subject, data, sequence, storedAt, deliveries: 0, heldUntil: undefined, timer: undefined };
    this.#items.set(sequence, item);
    this.#dispatch();
  }

  pull(onDelivery: (delivery: Delivery) => void): MemoryPull {
    const consumer: Consumer = { credit: 0, stopped: false, closed: false, onDelivery };
    this.#consumers.push(consumer);
    const remove = (): void => {
      const at = this.#consumers.indexOf(consumer);
      if (at >= 0) this.#consumers.splice(at, 1);
    };
    return {
      request: (count) => {
        consumer.credit += count;
        this.#dispatch();
      },
      stop: () => {
        consumer.stopped = true;
        remove();
        return Promise.resolve();
      },
      close: () => {
        consumer.closed = true;
        remove();
      },
    };
  }

  /** The same item in other hands. */
  adopt(handle: string): Delivery | undefined {
    const item = this.#items.get(Number(handle));
    return item === undefined ? undefined : this.#delivery(item);
  }

  /** An item that nobody acknowledged. */
  at(sequence: number): { readonly subject: string; readonly data: Uint8Array } | undefined {
    return this.#items.get(sequence);
  }

  state(): QueueState {
    const waiting = [...this.#items.values()].filter((item) => item.deliveries === 0).length;
    return { waiting, held: this.#items.size - waiting, deliveredUpTo: this.#deliveredUpTo };
  }

  /** Hands out in an event of its own: whoever asks is never called back before its call returns. */
  #dispatch(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#clock.after(0, () => {
      this.#scheduled = false;
      for (const item of this.#waiting()) {
        const ready = this.#consumers.filter((consumer) => consumer.credit > 0);
        const chosen = ready[Math.floor(this.#random() * ready.length)];
        if (chosen === undefined) return;
        chosen.credit -= 1;
        this.#handOut(item, chosen);
      }
    });
  }

  /** Those that come round first, then new ones, each in order. */
  #waiting(): Item[] {
    const free = [...this.#items.values()].filter((item) => item.heldUntil === undefined);
    return [...free.filter((item) => item.deliveries > 0), ...free.filter((item) => item.deliveries === 0)];
  }

  #handOut(item: Item, consumer: Consumer): void {
    item.deliveries += 1;
    this.counts.delivered += 1;
    this.handedOut.set(item.sequence, item.deliveries);
    this.#deliveredUpTo = Math.max(this.#deliveredUpTo, item.sequence);
    this.#hold(item, this.#leaseMs);
    const { copy, early, delay, delayMsMax } = this.#faults;
    const late = delay > 0 && this.#random() < delay;
    if (late) this.counts.delayed += 1;
    const send = (extraMs: number): void => {
      const delivery = this.#delivery(item);
      this.#clock.after(this.#latencyMs + extraMs, () => {
        if (!consumer.closed) consumer.onDelivery(delivery);
      });
    };
    send(late ? this.#random() * delayMsMax : 0);
    if (copy > 0 && this.#random() < copy) {
      this.counts.copied += 1;
      send(this.#random() * delayMsMax);
    }
    if (early > 0 && this.#random() < early) {
      const { deliveries } = item;
      this.#clock.after(this.#random() * this.#leaseMs, () => {
        if (this.#items.get(item.sequence) !== item || item.deliveries !== deliveries || item.heldUntil === undefined)
          return;
        this.counts.early += 1;
        this.#free(item);
      });
    }
  }

  #hold(item: Item, ms: number): void {
    item.timer?.();
    item.heldUntil = this.#clock.now() + ms;
    item.timer = this.#clock.after(ms, () => {
      this.counts.expired += 1;
      this.#free(item);
    });
  }

  #free(item: Item): void {
    item.timer?.();
    item.timer = undefined;
    item.heldUntil = undefined;
    this.#dispatch();
  }

  #delivery(item: Item): Delivery {
    const { subject, data, sequence, storedAt, deliveries } = item;
    const later = (act: () => void) => () => {
      this.#clock.after(this.#latencyMs, () => {
        if (this.#items.get(sequence) === item) act();
      });
    };
    return {
      subject,
      data: data.slice(),
      sequence,
      storedAt,
      deliveries,
      handle: String(sequence),
      ack: later(() => {
        item.timer?.();
        this.#items.delete(sequence);
        this.onAck(subject, sequence);
      }),
      retry: (delayMs) =>
        later(() => {
          this.counts.retried += 1;
          if (delayMs > 0) this.#hold(item, delayMs);
          else this.#free(item);
        })(),
      extend: later(() => {
        if (item.heldUntil !== undefined) this.#hold(item, this.#leaseMs);
      }),
    };
  }
}
