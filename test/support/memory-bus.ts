/**
 * Virtual time, and a message broker in memory that lives in it. Deterministic: what happens follows from the calls and the seed alone,
 * byte for byte. Nothing is delivered within `publish`; every delivery is an event of its own, in order unless the faults say otherwise.
 */
import type { Bus, Clock, Incoming, Random } from '../../shared/ports.ts';

/** A small generator with a full period of 2^32 (mulberry32): the same seed, the same run. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

interface Timed {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
  /** It ran, or was cancelled. */
  over: boolean;
}

/** A clock whose time passes only from event to event. */
export class VirtualClock implements Clock {
  #now: number;
  #order = 0;
  /** A binary heap: the earliest event first, and of those at one time the one that was planned first. */
  readonly #heap: Timed[] = [];
  #pending = 0;

  constructor(startMs = Date.UTC(2030, 0, 1)) {
    this.#now = startMs;
  }

  now(): number {
    return this.#now;
  }

  after(delayMs: number, run: () => void): () => void {
    this.#order += 1;
    const event = { at: this.#now + Math.max(0, delayMs), order: this.#order, run, over: false };
    this.#push(event);
    this.#pending += 1;
    return () => {
      this.#end(event);
    };
  }

  /** Events that are still to come, cancelled ones left out: a leaked timer shows here. */
  get pending(): number {
    return this.#pending;
  }

  /**
   * Runs events in order of time, letting promises settle after each, until none is left or `until` says so.
   *
   * @throws Error after `eventsMax` events: something feeds itself.
   */
  async run(until: () => boolean = () => false, eventsMax = 1_000_000): Promise<void> {
    await promisesSettled();
    for (let events = 0; !until(); events += 1) {
      const event = this.#pop();
      if (event === undefined) return;
      if (events >= eventsMax) throw new Error(`expected the events to end, got more than ${eventsMax}`);
      this.#now = Math.max(this.#now, event.at);
      event.run();
      await promisesSettled();
    }
  }

  /** Runs every event of the next `ms` milliseconds, and lets that time pass. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    let reached = false;
    const cancel = this.after(ms, () => {
      reached = true;
    });
    await this.run(() => reached);
    cancel();
    this.#now = end;
  }

  #push(event: Timed): void {
    const heap = this.#heap;
    heap.push(event);
    for (let index = heap.length - 1; index > 0; ) {
      const parent = (index - 1) >> 1;
      if (!this.#swapIfEarlier(index, parent)) return;
      index = parent;
    }
  }

  /** False when it had ended before. */
  #end(event: Timed): boolean {
    if (event.over) return false;
    event.over = true;
    this.#pending -= 1;
    return true;
  }

  #pop(): Timed | undefined {
    for (;;) {
      const event = this.#popAny();
      if (event === undefined || this.#end(event)) return event;
    }
  }

  #popAny(): Timed | undefined {
    const heap = this.#heap;
    const [first] = heap;
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    heap[0] = last;
    for (let index = 0; ; ) {
      const [left, right] = [2 * index + 1, 2 * index + 2];
      const child = this.#earlier(right, left) ? right : left;
      if (!this.#swapIfEarlier(child, index)) return first;
      index = child;
    }
  }

  #earlier(one: number, other: number): boolean {
    const [a, b] = [this.#heap[one], this.#heap[other]];
    if (a === undefined || b === undefined) return false;
    return a.at < b.at || (a.at === b.at && a.order < b.order);
  }

  #swapIfEarlier(one: number, other: number): boolean {
    if (!this.#earlier(one, other)) return false;
    const [a, b] = [this.#heap[one], this.#heap[other]];
    if (a === undefined || b === undefined) return false;
    [this.#heap[one], this.#heap[other]] = [b, a];
    return true;
  }
}

/** Resolves after everything that promises alone can do has been done. */
export function promisesSettled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Shares of all deliveries, 0 to 1, and how much later a delayed one comes. Delays reorder. */
export interface BusFaults {
  readonly loss?: number;
  readonly duplicate?: number;
  readonly delay?: number;
  readonly delayMsMax?: number;
}

/** Faults that really happened. */
export interface BusFaultCounts {
  lost: number;
  duplicated: number;
  delayed: number;
}

export interface Published {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly reply: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  /** Name of the connection that published it. */
  readonly from: string;
  readonly at: number;
}

interface Subscription {
  readonly tokens: readonly string[];
  readonly queue: string | undefined;
  readonly handle: (message: Incoming) => void;
  active: boolean;
}

/** `*` stands for one token, `>` at the end for one or more. */
export function subjectMatches(pattern: readonly string[], subject: readonly string[]): boolean {
  for (const [index, token] of pattern.entries()) {
    if (token === '>') return subject.length > index;
    if (index >= subject.length || (token !== '*' && token !== subject[index])) return false;
  }
  return pattern.length === subject.length;
}

export interface MemoryBrokerOptions {
  readonly clock: VirtualClock;
  /** Draws the faults, and which of a queue's subscribers gets a message. */
  readonly random?: Random;
  readonly faults?: BusFaults;
  /** What every delivery takes, ms. */
  readonly latencyMs?: number;
}

export class MemoryBroker {
  readonly counts: BusFaultCounts = { lost: 0, duplicated: 0, delayed: 0 };
  /** Everything that was published, in order: what a log stream would hold. */
  readonly published: Published[] = [];
  readonly #subscriptions = new Set<Subscription>();
  readonly #clock: VirtualClock;
  readonly #random: Random;
  readonly #faults: Required<BusFaults>;
  readonly #latencyMs: number;

  constructor(options: MemoryBrokerOptions) {
    this.#clock = options.clock;
    this.#random = options.random ?? seededRandom(1);
    this.#faults = { loss: 0, duplicate: 0, delay: 0, delayMsMax: 0, ...options.faults };
    this.#latencyMs = options.latencyMs ?? 0;
  }

  /** Subscriptions that stand now: a leak shows here. */
  get subscriptions(): number {
    return this.#subscriptions.size;
  }

  connect(name: string): MemoryBus {
    return new MemoryBus(this, name);
  }

  add(subscription: Subscription): void {
    this.#subscriptions.add(subscription);
  }

  remove(subscription: Subscription): void {
    subscription.active = false;
    this.#subscriptions.delete(subscription);
  }

  publish(message: Omit<Published, 'at'>): void {
    const published = { ...message, data: message.data.slice(), at: this.#clock.now() };
    this.published.push(published);
    for (const subscription of this.#receivers(message.subject.split('.'))) this.#send(subscription, published);
  }

  /** Runs `then` after every delivery without a fault that is under way. */
  flushed(then: () => void): void {
    this.#clock.after(this.#latencyMs, then);
  }

  #receivers(subject: readonly string[]): Subscription[] {
    const receivers: Subscription[] = [];
    const queues = new Map<string, Subscription[]>();
    for (const subscription of this.#subscriptions) {
      if (!subjectMatches(subscription.tokens, subject)) continue;
      if (subscription.queue === undefined) receivers.push(subscription);
      else queues.set(subscription.queue, [...(queues.get(subscription.queue) ?? []), subscription]);
    }
    for (const members of queues.values()) {
      const chosen = members[Math.floor(this.#random() * members.length)];
      if (chosen !== undefined) receivers.push(chosen);
    }
    return receivers;
  }

  #send(subscription: Subscription, message: Published): void {
    const { loss, duplicate, delay, delayMsMax } = this.#faults;
    if (loss > 0 && this.#random() < loss) {
      this.counts.lost += 1;
      return;
    }
    const copies = duplicate > 0 && this.#random() < duplicate ? 2 : 1;
    this.counts.duplicated += copies - 1;
    for (let copy = 0; copy < copies; copy += 1) {
      const delayed = delay > 0 && this.#random() < delay;
      if (delayed) this.counts.delayed += 1;
      const extraMs = delayed ? this.#random() * delayMsMax : 0;
      this.#clock.after(this.#latencyMs + extraMs, () => {
        if (subscription.active) subscription.handle(incoming(message));
      });
    }
  }
}

function incoming({ subject, data, reply, headers }: Published): Incoming {
  const byName = new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
  return { subject, data: data.slice(), reply, header: (name) => byName.get(name.toLowerCase()) };
}

/** One connection. After `close` nothing goes out or comes in any more, as after the death of its process. */
export class MemoryBus implements Bus {
  readonly #broker: MemoryBroker;
  readonly #name: string;
  readonly #own = new Set<Subscription>();
  #open = true;

  constructor(broker: MemoryBroker, name: string) {
    this.#broker = broker;
    this.#name = name;
  }

  publish(subject: string, data: Uint8Array, options: Parameters<Bus['publish']>[2] = {}): void {
    if (!this.#open) throw new Error(`${this.#name}: the connection is closed`);
    this.#broker.publish({ subject, data, reply: options.reply, headers: options.headers ?? {}, from: this.#name });
  }

  subscribe(
    subject: string,
    handle: (message: Incoming) => void,
    options: { readonly queue?: string } = {},
  ): () => void {
    if (!this.#open) throw new Error(`${this.#name}: the connection is closed`);
    const subscription = { tokens: subject.split('.'), queue: options.queue, handle, active: true };
    this.#own.add(subscription);
    this.#broker.add(subscription);
    return () => {
      this.#own.delete(subscription);
      this.#broker.remove(subscription);
    };
  }

  flush(): Promise<void> {
    return new Promise((resolve) => this.#broker.flushed(resolve));
  }

  close(): void {
    this.#open = false;
    for (const subscription of this.#own) this.#broker.remove(subscription);
    this.#own.clear();
  }
}
