/**
 * The DAG store in memory, with the compare-and-set of `shared/ports.ts`: the first write of a transition is its guard, later ones stand or
 * fall one by one. Faults leave what a broker can leave: nothing, everything without an answer, or a transition cut off in the middle.
 */
import type { CommitOutcome, DagStore, Held, Random, Stored, Write } from '../../shared/ports.ts';
import type { Subjects } from '../../shared/protocol/subjects.ts';
import { seededRandom, subjectMatches, type VirtualClock } from './memory-bus.ts';

/** A broker takes no larger message. */
const PAYLOAD_BYTES_MAX = 1_048_576;

/** Shares of all commits, 0 to 1. */
export interface DagFaults {
  /** Not stored; the caller gets an error. */
  readonly refused?: number;
  /** Stored in full; the caller gets an error. */
  readonly unknown?: number;
  /** The guard stands, a part of the rest does not; the caller gets an error. Only of transitions of more than one write. */
  readonly torn?: number;
  /** After so many faults there are no more. */
  readonly most?: number;
}

/** Faults that really happened. */
export interface DagFaultCounts {
  refused: number;
  unknown: number;
  torn: number;
  conflicts: number;
  /** Writes that `dedupe` dropped. */
  deduplicated: number;
}

export interface MemoryDagOptions {
  readonly subjects: Subjects;
  /** Without it every call is answered at once, as a microtask. */
  readonly clock?: VirtualClock;
  /** What a write and its answer take one way, ms; with `clock` only. */
  readonly latencyMs?: number;
  readonly random?: Random;
  readonly faults?: DagFaults;
  /** A guard that fails on the very bytes of the write passes: so the real store recognises a write of its own whose answer was lost. */
  readonly recognise?: boolean;
  /** How long a dedupe id is remembered, ms; with `clock` only, otherwise for ever. */
  readonly dedupeMs?: number;
}

export interface Revision {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly revision: number;
}

const NO_FAULTS = { refused: 0, unknown: 0, torn: 0 };

/** The broker gave no answer: the write may or may not stand. */
class MemoryDagUnavailable extends Error {}

export class MemoryDag implements DagStore {
  /** Every write that stands, of keys and of items, in order: the stream itself. `revision` is the place in it, from 1. */
  readonly stream: Revision[] = [];
  readonly counts: DagFaultCounts = { refused: 0, unknown: 0, torn: 0, conflicts: 0, deduplicated: 0 };
  /** What was read of it so far. */
  bytesRead = 0;
  /** Called for every write, after it stands. */
  onWrite: (written: Revision) => void = () => {};
  readonly #last = new Map<string, Revision>();
  readonly #seen = new Map<string, { readonly revision: number; readonly at: number }>();
  readonly #subjects: Subjects;
  readonly #clock: VirtualClock | undefined;
  readonly #latencyMs: number;
  readonly #random: Random;
  readonly #faults: Required<DagFaults>;
  readonly #dedupeMs: number;
  readonly #recognise: boolean;

  constructor(options: MemoryDagOptions) {
    this.#subjects = options.subjects;
    this.#clock = options.clock;
    this.#latencyMs = options.latencyMs ?? 0;
    this.#random = options.random ?? seededRandom(1);
    this.#faults = { refused: 0, unknown: 0, torn: 0, most: Number.POSITIVE_INFINITY, ...options.faults };
    this.#dedupeMs = options.dedupeMs ?? 120_000;
    this.#recognise = options.recognise ?? false;
  }

  async commit(transition: readonly Write[]): Promise<CommitOutcome> {
    if (transition.length === 0) throw new Error('expected at least one write, got an empty transition');
    const large = transition.find(({ subject, data }) => subject.length + data.length > PAYLOAD_BYTES_MAX);
    if (large !== undefined) throw new Error(`${large.subject}: payload of ${large.data.length} bytes`);
    // Copied before the first wait: what the caller does to its bytes afterwards is no longer ours.
    const writes = transition.map((write) => ({ ...write, data: write.data.slice() }));
    await this.#travel();
    const outcome = this.#apply(writes);
    await this.#travel();
    if (outcome instanceof Error) throw outcome;
    return outcome;
  }

  /** Both ways that the port allows: with one write the guard does not wait. */
  async commitUnless(transition: readonly Write[], doubt: Promise<boolean>): Promise<CommitOutcome | Held> {
    if (transition.length > 1) return (await doubt) ? { status: 'held', revision: undefined } : this.commit(transition);
    const outcome = await this.commit(transition);
    if (outcome.status === 'conflict') return outcome;
    return (await doubt) ? { status: 'held', revision: outcome.revisions[0] } : outcome;
  }

  async read(key: string): Promise<Stored | undefined> {
    return (await this.readMany([key])).get(key);
  }

  async readMany(keys: readonly string[]): Promise<ReadonlyMap<string, Stored>> {
    await this.#travel();
    const found = new Map<string, Stored>();
    for (const key of keys) {
      const last = this.#last.get(this.#subjects.dagSubject(key));
      if (last === undefined) continue;
      found.set(key, { data: last.data.slice(), revision: last.revision });
      this.bytesRead += last.data.length;
    }
    await this.#travel();
    return found;
  }

  async scan(patterns: readonly string[]): Promise<ReadonlyMap<string, Stored>> {
    const prefix = this.#subjects.dagSubject('');
    const all = patterns.map((pattern) => this.#subjects.dagSubject(pattern).split('.'));
    const keys = [...this.#last.keys()].filter((subject) =>
      all.some((tokens) => subjectMatches(tokens, subject.split('.'))),
    );
    return this.readMany(keys.map((subject) => subject.slice(prefix.length)));
  }

  /** What `scan` would have answered `revisions` writes ago: a replica that lags. */
  async scanPast(patterns: readonly string[], revisions: number): Promise<ReadonlyMap<string, Stored>> {
    const now = await this.scan(patterns);
    const horizon = this.stream.length - revisions;
    const past = new Map<string, Stored>();
    for (const [key, stored] of now) {
      const subject = this.#subjects.dagSubject(key);
      const then =
        stored.revision <= horizon
          ? stored
          : this.stream.slice(0, Math.max(0, horizon)).findLast((written) => written.subject === subject);
      if (then !== undefined) past.set(key, { data: then.data.slice(), revision: then.revision });
    }
    return past;
  }

  /** Last revision of each key and item, by subject. */
  get state(): ReadonlyMap<string, Revision> {
    return this.#last;
  }

  #travel(): Promise<void> {
    const clock = this.#clock;
    if (clock === undefined) return Promise.resolve();
    return new Promise((resolve) => {
      clock.after(this.#latencyMs, resolve);
    });
  }

  #apply(writes: readonly Write[]): CommitOutcome | Error {
    const { most } = this.#faults;
    const { counts } = this;
    const { refused, unknown, torn } = counts.refused + counts.unknown + counts.torn < most ? this.#faults : NO_FAULTS;
    if (refused > 0 && this.#random() < refused) {
      this.counts.refused += 1;
      return new MemoryDagUnavailable('no answer; in truth nothing was stored');
    }
    const tear = torn > 0 && writes.length > 1 && this.#random() < torn;
    const kept = tear ? 1 + Math.floor(this.#random() * (writes.length - 1)) : writes.length;
    const revisions: (number | undefined)[] = [];
    for (const [index, write] of writes.slice(0, kept).entries()) {
      const revision = this.#put(write);
      if (revision === undefined && index === 0) {
        this.counts.conflicts += 1;
        return { status: 'conflict' };
      }
      revisions.push(revision);
    }
    if (tear) {
      this.counts.torn += 1;
      return new MemoryDagUnavailable(`no answer; in truth ${kept} of ${writes.length} writes stand`);
    }
    if (unknown > 0 && this.#random() < unknown) {
      this.counts.unknown += 1;
      return new MemoryDagUnavailable('no answer; in truth everything stands');
    }
    return { status: 'committed', revisions };
  }

  /** The revision of the write, or of its earlier repetition; undefined when its guard failed. */
  #put({ subject, data, expect, dedupe }: Write): number | undefined {
    const now = this.#clock?.now() ?? 0;
    const seen = dedupe === undefined ? undefined : this.#seen.get(dedupe);
    if (seen !== undefined && now - seen.at < this.#dedupeMs) {
      this.counts.deduplicated += 1;
      return seen.revision;
    }
    const last = this.#last.get(subject);
    if (expect !== undefined && (last?.revision ?? 0) !== expect) {
      return this.#recognise && last !== undefined && Buffer.compare(last.data, data) === 0 ? last.revision : undefined;
    }
    const written = { subject, data, revision: this.stream.length + 1 };
    this.stream.push(written);
    this.#last.set(subject, written);
    if (dedupe !== undefined) this.#seen.set(dedupe, { revision: written.revision, at: now });
    this.onWrite(written);
    return written.revision;
  }
}
