/**
 * A mesh in virtual time, drawn from a seed: a few processes on the real engine, random goals, and weather that kills, freezes, delays, repeats and
 * loses. The same seed gives the same run, byte for byte.
 */
import { createHash } from 'node:crypto';
import type { Presence } from '../../shared/protocol/agent.ts';
import { encode } from '../../shared/protocol/codec.ts';
import { timestamp } from '../../shared/protocol/ids.ts';
import { AUCTION_CAPABILITY, PLAN_CAPABILITY, REVIEW_CAPABILITY, subjectsOf } from '../../shared/protocol/subjects.ts';
import { MemoryBroker, seededRandom, VirtualClock } from './memory-bus.ts';
import { type DagFaults, MemoryDag } from './memory-dag.ts';
import { MemoryQueue, type QueueFaults } from './memory-queue.ts';
import { AckWatch } from './sim-acks.ts';
import { type Dice, diceOf } from './sim-dice.ts';
import { drawGoal } from './sim-draw.ts';
import { CAPABILITIES, type SimGoal, VOTERS } from './sim-goals.ts';
import { drawSpree } from './sim-spree.ts';
import { type Death, Life } from './sim-life.ts';
import { type SimProcess, startProcess, type Surroundings } from './sim-process.ts';

export const subjects = subjectsOf('mesh');

/** Of so many seeds one has a goal whose tasks all fight for one budget. */
const SPREE_EVERY = 12;
const LEASE_MS = 5_000;
const RECEIPT_MS = 10_000;
/** Presence keys of dead agents stay this long. */
const PRESENCE_MS = 7_000;
/** Virtual time after which a mesh that has not come to rest never will. */
const HORIZON_MS = 45 * 60_000;
/** Time for which a mesh at rest is watched for anything that still moves. */
const AFTERMATH_MS = 12_000;
const EVENTS_MAX = 2_000_000;

/** What happened, how often. */
export class Tally {
  readonly counts = new Map<string, number>();

  add(what: string, count = 1): void {
    if (count > 0) this.counts.set(what, (this.counts.get(what) ?? 0) + count);
  }

  merge(other: Tally): void {
    for (const [what, count] of other.counts) this.add(what, count);
  }

  summary(): string {
    const lines = [...this.counts].map(([what, count]) => `${what} ${count}`);
    return lines.toSorted((one, other) => (one < other ? -1 : 1)).join(', ');
  }
}

/** What may go wrong, as shares from 0 to 1. Fields that are absent are drawn from the seed. */
export interface Setting {
  readonly goals?: readonly SimGoal[];
  readonly processes?: number;
  /** Deaths of the first process, in order of its incarnations; nobody else dies. */
  readonly deaths?: readonly Death[];
  /** Processes that hear nothing for a while; nothing else goes wrong. */
  readonly freezes?: readonly { readonly place: number; readonly atMs: number; readonly forMs: number }[];
  /** Half of all deliveries come twice. */
  readonly harsh?: boolean;
  /** No faults at all. */
  readonly calm?: boolean;
}

interface Weather {
  readonly deaths: number;
  readonly freezes: number;
  readonly queue: QueueFaults;
  readonly busFaults: {
    readonly loss: number;
    readonly duplicate: number;
    readonly delay: number;
    readonly delayMsMax: number;
  };
  readonly dag: DagFaults;
  readonly jitterMs: number;
  readonly staleScans: number;
}

function weatherOf(dice: Dice, { calm, harsh, deaths, freezes }: Setting): Weather {
  const none = {
    queue: {},
    busFaults: { loss: 0, duplicate: 0, delay: 0, delayMsMax: 0 },
    dag: { refused: 0, unknown: 0, torn: 0 },
  };
  if (calm === true || deaths !== undefined || freezes !== undefined)
    return { ...none, deaths: 0, freezes: 0, jitterMs: 3, staleScans: 0 };
  const storm = dice.chance(0.3);
  const often = harsh === true ? 0.5 : 0.2;
  const write = (): number => (dice.chance(0.4) ? dice.random() * (storm ? 0.08 : 0.03) : 0);
  return {
    deaths: dice.int(0, storm ? 10 : 5),
    freezes: dice.int(0, 3),
    queue: {
      copy: dice.chance(0.5) ? often : 0,
      early: dice.chance(0.5) ? often : 0,
      delay: 0.2,
      delayMsMax: dice.pick([5, 50, 600]),
    },
    busFaults: { loss: dice.chance(0.5) ? 0.1 : 0, duplicate: 0.2, delay: 0.2, delayMsMax: 300 },
    dag: { refused: write(), unknown: write(), torn: write(), most: dice.int(5, 25) },
    jitterMs: dice.pick([0, 3, 30]),
    staleScans: dice.chance(0.5) ? 0.3 : 0,
  };
}

export class World implements Surroundings {
  readonly clock = new VirtualClock();
  readonly subjects = subjects;
  readonly dag: MemoryDag;
  readonly broker: MemoryBroker;
  readonly blobs = new Map<string, Uint8Array>();
  readonly dead = new Map<string, unknown>();
  readonly intake: MemoryQueue;
  readonly cancels: MemoryQueue;
  readonly billed = new Map<string, number>();
  readonly tally = new Tally();
  readonly acks: AckWatch;
  readonly leaseMs = LEASE_MS;
  readonly jitterMs: number;
  readonly staleScans: number;
  readonly goals: readonly SimGoal[];
  readonly seed: number;
  /** Where the submissions of each goal stand in their stream. */
  readonly receipts = new Map<string, readonly number[]>();
  /** Deaths of whoever died, in order. */
  readonly deaths: string[] = [];
  /** Somebody is there to judge whether goals that nobody planned are met. */
  readonly reviewed: boolean;
  /** Nothing goes wrong but what the goals bring with them. */
  readonly calm: boolean;
  /** False when the mesh did not come to rest. */
  rested = false;
  readonly queues = new Map<string, MemoryQueue>();
  readonly registry = { list: () => Promise.resolve(this.#present()) };
  readonly #dice: Dice;
  readonly #weather: Weather;
  readonly #setting: Setting;
  readonly #alive = new Map<string, { process: SimProcess; capabilities: readonly string[]; goneAt: number }>();
  readonly #processes: (SimProcess | undefined)[] = [];
  #deathsLeft: number;
  #started = 0;
  #toCome = 0;
  #sequence = 0;
  #ids = 0;

  constructor(seed: number, setting: Setting = {}) {
    this.seed = seed;
    this.#setting = setting;
    this.calm = setting.calm === true;
    this.reviewed = seed % 3 === 0;
    const dice = diceOf(seededRandom(seed));
    this.#dice = dice;
    const weather = weatherOf(dice, setting);
    this.#weather = weather;
    this.#deathsLeft = weather.deaths;
    this.jitterMs = weather.jitterMs;
    this.staleScans = weather.staleScans;
    const { clock } = this;
    const random = seededRandom(seed + 0x5eed);
    this.dag = new MemoryDag({ subjects, random, faults: weather.dag, recognise: seed % 2 === 0 });
    this.broker = new MemoryBroker({ clock, random, latencyMs: 1, faults: weather.busFaults });
    const queue = (leaseMs: number): MemoryQueue =>
      new MemoryQueue({ clock, random, leaseMs, latencyMs: 1, faults: weather.queue });
    this.intake = queue(RECEIPT_MS);
    this.cancels = queue(LEASE_MS);
    for (const capability of [...CAPABILITIES, PLAN_CAPABILITY, AUCTION_CAPABILITY])
      this.queues.set(capability, queue(LEASE_MS));
    this.acks = new AckWatch(this.dag, subjects);
    for (const each of this.queues.values()) each.onAck = (...item) => this.acks.acknowledged(...item);
    this.dag.onWrite = ({ subject, data, revision }) => {
      const [, kind, capability = ''] = subject.split('.');
      if (!subject.startsWith('mesh.') || kind !== 'ready') return;
      this.acks.sent(subject, revision);
      this.queues.get(capability)?.push(subject, data, revision);
    };
    this.goals = setting.goals ?? [
      ...Array.from({ length: dice.int(1, 4) }, (_, index) => drawGoal(dice, `g${index + 1}`, dice.chance(0.4))),
      ...(seed % SPREE_EVERY === 0 ? [drawSpree(diceOf(seededRandom(seed + 0xcafe)), 'spree')] : []),
    ];
  }

  queue(capability: string): MemoryQueue | undefined {
    return this.queues.get(capability);
  }

  nextId(): string {
    this.#ids += 1;
    return `id-${this.#ids}`;
  }

  note(what: string): void {
    this.tally.add(what);
  }

  /** Runs until nothing is left to do, and a while longer. */
  async run(): Promise<void> {
    const dice = this.#dice;
    for (const goal of this.goals) this.#submit(goal);
    const processes = this.#setting.processes ?? dice.int(2, 4);
    for (let place = 0; place < processes; place += 1) this.#start(place);
    for (let count = 0; count < this.#weather.freezes; count += 1) this.#freezeSomebody(processes);
    for (const { place, atMs, forMs } of this.#setting.freezes ?? []) this.#freeze(place, atMs, forMs);
    const end = this.clock.now() + HORIZON_MS;
    await this.clock.run(() => this.#atRest() || this.clock.now() > end, EVENTS_MAX);
    this.rested = this.#atRest();
    await this.clock.advance(AFTERMATH_MS);
    // Somebody who thawed late may take hold of a receipt once more; it must let go of it again.
    const later = this.clock.now() + AFTERMATH_MS * 10;
    await this.clock.run(() => this.#atRest() || this.clock.now() > later, EVENTS_MAX);
    this.rested &&= this.#atRest();
    for (const process of this.#processes) process?.close();
    this.#count();
  }

  /** Work and receipts that live processes still hold. */
  get held(): { readonly running: number; readonly receipts: number } {
    const live = this.#processes.filter((process) => process !== undefined && !process.life.dead);
    const sum = (of: (process: SimProcess) => number): number =>
      live.reduce((total, process) => total + (process === undefined ? 0 : of(process)), 0);
    return { running: sum(({ engine }) => engine.running()), receipts: sum(({ engine }) => engine.receipts()) };
  }

  /** The stream and everything that was said, as one hash. */
  digest(): string {
    const hash = createHash('sha256');
    for (const { subject, data } of this.dag.stream) hash.update(`${subject}\0${data.length}\0`).update(data);
    for (const { subject, data, at, from } of this.broker.published)
      hash.update(`${at} ${from} ${subject}\0`).update(data);
    for (const [dedupe, letter] of this.dead) hash.update(`${dedupe} ${JSON.stringify(letter)}`);
    return hash.digest('hex');
  }

  #submit(goal: SimGoal): void {
    for (const [index, at] of goal.at.entries()) {
      const description = `${String(goal.submission['description'])}${index === 0 ? '' : ', once more'}`;
      this.#post(at, () => {
        const sequence = this.#nextSequence();
        this.receipts.set(goal.goalId, [...(this.receipts.get(goal.goalId) ?? []), sequence]);
        this.intake.push(subjects.goalsSubmit, encode({ ...goal.submission, description }), sequence);
      });
    }
    const { cancelAt } = goal;
    if (cancelAt === undefined) return;
    this.#post(cancelAt, () => {
      const data = encode({ goalId: goal.goalId, reason: 'changed my mind' });
      this.cancels.push(subjects.goalsCancel, data, this.#nextSequence());
      this.broker.connect('user').publish(subjects.goalsCancel, data);
    });
  }

  #post(delayMs: number, run: () => void): void {
    this.#toCome += 1;
    this.clock.after(delayMs, () => {
      this.#toCome -= 1;
      run();
    });
  }

  #nextSequence(): number {
    this.#sequence += 1;
    return this.#sequence;
  }

  #start(place: number): void {
    const dice = this.#dice;
    this.#started += 1;
    const first = place === 0;
    const capabilities = [...CAPABILITIES, PLAN_CAPABILITY].filter(() => first || dice.chance(0.6));
    // A restarted process may have a fixed AGENT_ID.
    const agentId = dice.chance(0.5) ? `p${place}` : `p${place}-${this.#started}`;
    const life = new Life(
      this.#deathOf(place),
      () => this.#onDeath(place, life),
      (run) => void this.clock.after(0, run),
    );
    const own = diceOf(seededRandom(this.seed * 31 + this.#started));
    const process = startProcess(this, { agentId, capabilities, slots: dice.int(1, 3), dice: own, life });
    this.#processes[place] = process;
    this.#alive.set(agentId, { process, capabilities, goneAt: Number.POSITIVE_INFINITY });
  }

  #deathOf(place: number): Death | undefined {
    const { deaths } = this.#setting;
    if (deaths !== undefined) return place === 0 ? deaths[this.deaths.length] : undefined;
    const dice = this.#dice;
    if (this.#deathsLeft === 0 || dice.chance(0.2)) return undefined;
    this.#deathsLeft -= 1;
    return { act: dice.int(1, dice.pick([4, 12, 40])), moment: dice.pick(['before', 'during', 'after'] as const) };
  }

  #onDeath(place: number, life: Life): void {
    const process = this.#processes[place];
    this.deaths.push(life.diedAt ?? '');
    this.tally.add(`died ${life.diedAt}`);
    if (process !== undefined) {
      process.close();
      const entry = this.#alive.get(process.agentId);
      if (entry?.process === process) entry.goneAt = this.clock.now() + PRESENCE_MS;
    }
    const delayMs = this.#dice.chance(0.5) ? this.#dice.int(0, 300) : this.#dice.int(300, 9_000);
    this.#post(delayMs, () => this.#start(place));
  }

  #freezeSomebody(processes: number): void {
    const dice = this.#dice;
    const place = dice.int(0, processes - 1);
    const forMs = dice.pick([200, 4_000, 7_000, 14_000]);
    this.#freeze(place, dice.int(0, 12_000), forMs);
  }

  #freeze(place: number, atMs: number, forMs: number): void {
    this.#post(atMs, () => {
      const life = this.#processes[place]?.life;
      if (life === undefined || life.dead) return;
      life.freeze();
      this.tally.add(forMs > LEASE_MS ? 'frozen past its lease' : 'frozen');
      this.#post(forMs, () => life.thaw());
    });
  }

  #atRest(): boolean {
    if (this.#toCome > 0 || this.intake.open + this.cancels.open > 0) return false;
    for (const queue of this.queues.values()) if (queue.open > 0) return false;
    const { running, receipts } = this.held;
    return running + receipts === 0;
  }

  #present(): Presence[] {
    const now = this.clock.now();
    const load = { running: 0, slots: 1 };
    const common = { role: 'worker', startedAt: timestamp(0), version: '0', load };
    const live = [...this.#alive].filter(([, { goneAt }]) => goneAt > now);
    const workers = live.map(([agentId, { capabilities }]) => ({
      ...common,
      agentId,
      capabilities: [...capabilities],
      begins: capabilities.filter((name) => name !== PLAN_CAPABILITY),
    }));
    const voting = this.reviewed ? [VOTERS, REVIEW_CAPABILITY] : [VOTERS];
    return [...workers, ...['v1', 'v2', 'v3'].map((agentId) => ({ ...common, agentId, capabilities: voting }))];
  }

  #count(): void {
    const { tally } = this;
    for (const queue of [this.intake, this.cancels, ...this.queues.values()]) {
      for (const [what, count] of Object.entries(queue.counts)) tally.add(`delivery ${what}`, count);
    }
    for (const [what, count] of Object.entries(this.dag.counts)) tally.add(`write ${what}`, count);
    for (const [what, count] of Object.entries(this.broker.counts)) tally.add(`message ${what}`, count);
    tally.add('revisions', this.dag.stream.length);
    tally.add('goals', this.goals.length);
  }
}
