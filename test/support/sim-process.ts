/** One agent process of the simulation: the real engine, wired as the agent wires it, on ports that can die and freeze under it. */
import type {
  BlobStore,
  Bus,
  Clock,
  CommitOutcome,
  DagStore,
  DeadLetters,
  Delivery,
  HandOver,
  Queues,
  Registry,
  Write,
} from '../../shared/ports.ts';
import { AUCTION_CAPABILITY, PLAN_CAPABILITY, type Subjects } from '../../shared/protocol/subjects.ts';
import { everybody } from '../../shared/runtime/vote/electors.ts';
import { UNTRACED } from '../../shared/runtime/tracing.ts';
import type { Deps } from '../../shared/runtime/engine/deps.ts';
import { type Engine, engineOf } from '../../shared/runtime/engine/engine.ts';
import type { EngineEvents } from '../../shared/runtime/engine/events.ts';
import { hearEnds } from '../../shared/runtime/goal-ends.ts';
import { openMailbox } from '../../shared/runtime/mailbox.ts';
import { type Calls, callsOn } from '../../shared/runtime/peers/calls.ts';
import { handOverBy } from '../../shared/runtime/peers/handover.ts';
import { listener } from '../../shared/runtime/peers/listener.ts';
import type { MemoryBroker, MemoryBus, VirtualClock } from './memory-bus.ts';
import type { MemoryDag } from './memory-dag.ts';
import type { MemoryPull, MemoryQueue } from './memory-queue.ts';
import type { Dice } from './sim-dice.ts';
import { MICRO } from './sim-goals.ts';
import { handlerOf, holdOf } from './sim-handler.ts';
import type { Life } from './sim-life.ts';

/** What all processes share. */
export interface Surroundings {
  readonly clock: VirtualClock;
  readonly subjects: Subjects;
  readonly dag: MemoryDag;
  readonly broker: MemoryBroker;
  readonly blobs: Map<string, Uint8Array>;
  /** Dead letters by dedupe id. */
  readonly dead: Map<string, unknown>;
  readonly registry: Registry;
  readonly intake: MemoryQueue;
  readonly cancels: MemoryQueue;
  queue(capability: string): MemoryQueue | undefined;
  /** Micro-dollars that models really billed, by goal. */
  readonly billed: Map<string, number>;
  note(what: string): void;
  /** Unique in the world; an id. */
  nextId(): string;
  readonly leaseMs: number;
  /** Longest way of a write or of its answer, ms. */
  readonly jitterMs: number;
  /** Share of scans that answer from the past. */
  readonly staleScans: number;
}

export interface SimProcess {
  readonly agentId: string;
  readonly life: Life;
  readonly engine: Engine;
  /** Ends its timers and subscriptions, as its death does. */
  close(): void;
}

export interface ProcessOptions {
  readonly agentId: string;
  readonly capabilities: readonly string[];
  readonly slots: number;
  readonly dice: Dice;
  readonly life: Life;
}

const TICK_MS = 250;
const INTAKE_AT_ONCE = 4;
const AUCTIONS_AT_ONCE = 2;
const CANCELS_AT_ONCE = 2;
const USD_PER_MESSAGE = MICRO;

export function startProcess(world: Surroundings, options: ProcessOptions): SimProcess {
  const { agentId, life, dice } = options;
  const bus = world.broker.connect(agentId);
  const clock = clockOf(world.clock, life);
  const speaking = {
    bus: busOf(bus, life),
    clock,
    subjects: world.subjects,
    agentId,
    tracing: UNTRACED,
    nextId: () => world.nextId(),
    events: { sent: () => undefined, received: () => undefined },
  };
  const calls = callsOn(speaking);
  const deps: Deps = {
    store: storeOf(world, life, dice),
    bus: speaking.bus,
    blobs: blobsOf(world, life, agentId),
    dead: deadOf(world, life),
    queues: queuesOf(world, life),
    submissions: { at: (sequence) => life.answer(later(world, 1, () => Promise.resolve(world.intake.at(sequence)))) },
    registry: { list: () => life.answer(later(world, 0, () => world.registry.list())) },
    clock,
    random: dice.random,
    salt: () => `salt${dice.int(1, 1_000_000_000)}`,
    electors: everybody,
    subjects: world.subjects,
    agentId,
    handOver: handOverOf(world, calls),
    events: eventsOf(world),
    tracing: UNTRACED,
    leaseMs: world.leaseMs,
    communication: { usdPerMessage: USD_PER_MESSAGE, usdPerKiB: 0 },
  };
  const engine = engineOf(deps, {
    runHandler: (ledgers) => handlerOf(world, deps, calls, ledgers),
    hold: holdOf(deps, dice),
    predict: (tasks) => tasks.length * MICRO,
  });
  const pulls = pullsOf(world, engine, options);
  openMailbox({
    ...speaking,
    dead: deps.dead,
    capabilities: options.capabilities,
    events: { ...speaking.events, refused: (code) => world.note(`message ${code}`), failed: () => undefined },
    onMessage: listenerOf(world, engine, options),
  });
  hearEnds(deps, engine, []);
  let open = true;
  const every = (ms: number, run: () => void): void => {
    clock.after(ms, () => {
      if (!open) return;
      run();
      every(ms, run);
    });
  };
  every(world.leaseMs / 3, () => engine.renewLeases());
  every(TICK_MS, () => void engine.tick());
  return {
    agentId,
    life,
    engine,
    close() {
      open = false;
      for (const pull of pulls) pull.close();
      bus.close();
    },
  };
}

function handOverOf(world: Surroundings, calls: Calls): HandOver {
  const give = handOverBy(calls);
  return async (...args) => {
    const status = await give(...args);
    world.note(`handover ${status}`);
    return status;
  };
}

/** As the agent does: bids, and items that others hand over, up to as many as it has slots. */
function listenerOf(world: Surroundings, engine: Engine, { agentId, capabilities, slots, life }: ProcessOptions) {
  let taken = 0;
  return listener({
    agentId,
    bidder: {
      manifest: { capabilities: Object.fromEntries(capabilities.map((name) => [name, bidding(name)])) },
      priceOf: () => MICRO,
      load: () => ({ running: engine.running(), slots }),
    },
    takingOver: {
      capabilities,
      adopt: (handle, capability) => {
        const delivery = world.queue(capability)?.adopt(handle);
        return Promise.resolve(delivery === undefined ? undefined : mortal(delivery, life));
      },
      work(delivery, capability) {
        if (taken >= slots) return false;
        taken += 1;
        void engine.item(delivery, capability).finally(() => (taken -= 1));
        return true;
      },
    },
    answering: { atOnce: slots, answer: () => Promise.resolve(undefined) },
    onMessage: undefined,
  });
}

/** Nobody begins with a plan. */
function bidding(capability: string): { readonly bid?: number } {
  return capability === PLAN_CAPABILITY ? {} : { bid: capability === 'a' ? 0.8 : 0.5 };
}

/** As the agent does: each queue hands out as much as there are free slots for it. */
function pullsOf(world: Surroundings, engine: Engine, { capabilities, slots, life }: ProcessOptions): MemoryPull[] {
  const pull = (
    queue: MemoryQueue | undefined,
    credit: number,
    handle: (delivery: Delivery) => Promise<void>,
  ): MemoryPull[] => {
    if (queue === undefined) return [];
    const one = queue.pull((delivery) =>
      life.hear(() => void handle(mortal(delivery, life)).finally(() => void (life.dead || one.request(1)))),
    );
    one.request(credit);
    return [one];
  };
  return [
    ...capabilities.flatMap((capability) =>
      pull(world.queue(capability), slots, (delivery) => engine.item(delivery, capability)),
    ),
    ...pull(world.queue(AUCTION_CAPABILITY), AUCTIONS_AT_ONCE, (delivery) => engine.item(delivery, AUCTION_CAPABILITY)),
    ...pull(world.intake, INTAKE_AT_ONCE, (delivery) => engine.submission(delivery)),
    ...pull(world.cancels, CANCELS_AT_ONCE, (delivery) => engine.cancel(delivery)),
  ];
}

function mortal(delivery: Delivery, life: Life): Delivery {
  return {
    ...delivery,
    ack: () => life.act('ack', () => delivery.ack()),
    retry: (delayMs) => life.act('nak', () => delivery.retry(delayMs)),
    extend: () => life.act('extend', () => delivery.extend()),
  };
}

function clockOf(clock: VirtualClock, life: Life): Clock {
  return {
    now: () => clock.now(),
    after(delayMs, run) {
      let wanted = true;
      const cancel = clock.after(delayMs, () => life.hear(() => void (wanted && run())));
      return () => {
        wanted = false;
        cancel();
      };
    },
  };
}

function later<T>(world: Surroundings, ms: number, run: () => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    world.clock.after(ms, () => void run().then(resolve, reject));
  });
}

function storeOf(world: Surroundings, life: Life, dice: Dice): DagStore {
  const { dag, jitterMs } = world;
  const way = (): number => 1 + dice.random() * jitterMs;
  /** What is under way arrives, whatever becomes of its sender; the answer reaches whoever still lives. */
  const roundTrip = <T>(run: () => Promise<T>): Promise<T> =>
    life.answer(later(world, way(), run).then((value) => later(world, way(), () => Promise.resolve(value))));

  /** Of a transition that is cut off the guard stands, and some of the rest. */
  async function cutOff(writes: readonly Write[]): Promise<void> {
    const [guard, ...rest] = writes;
    if (guard === undefined || (await dag.commit([guard])).status === 'conflict') return;
    const prefix = dice.chance(0.7);
    const kept = prefix
      ? rest.slice(0, dice.int(0, Math.max(0, rest.length - 1)))
      : rest.filter(() => dice.chance(0.5));
    for (const write of kept) await dag.commit([write]);
  }

  const store: DagStore = {
    commit(writes) {
      const { promise, resolve, reject } = Promise.withResolvers<CommitOutcome>();
      life.act('commit', (cut) => {
        // Whatever becomes of it, nobody is left to hear.
        if (cut) later(world, way(), () => cutOff(writes)).catch(() => undefined);
        else roundTrip(() => dag.commit(writes)).then(resolve, reject);
      });
      return promise;
    },
    async commitUnless([guard, ...rest], doubt) {
      if (guard === undefined || dice.chance(0.5))
        return (await doubt)
          ? { status: 'held', revision: undefined }
          : store.commit(guard === undefined ? [] : [guard, ...rest]);
      const first = await store.commit([guard]);
      if (first.status === 'conflict') return first;
      if (await doubt) {
        world.note('held');
        return { status: 'held', revision: first.revisions[0] };
      }
      const revisions = await Promise.all(
        rest.map(async (write) => {
          const outcome = await store.commit([write]);
          return outcome.status === 'committed' ? outcome.revisions[0] : undefined;
        }),
      );
      return { status: 'committed', revisions: [first.revisions[0], ...revisions] };
    },
    read: (key) => roundTrip(() => dag.read(key)),
    readMany: (keys) => roundTrip(() => dag.readMany(keys)),
    scan: (patterns) =>
      roundTrip(() => {
        if (!dice.chance(world.staleScans)) return dag.scan(patterns);
        world.note('stale scan');
        return dag.scanPast(patterns, dice.int(1, 12));
      }),
  };
  return store;
}

function busOf(bus: MemoryBus, life: Life): Bus {
  return {
    publish: (...args) => life.act('publish', () => bus.publish(...args)),
    subscribe: (subject, handle, options) =>
      bus.subscribe(subject, (message) => life.hear(() => handle(message)), options),
    flush: () => life.answer(bus.flush()),
  };
}

function blobsOf(world: Surroundings, life: Life, agentId: string): BlobStore {
  let count = 0;
  return {
    async put(bytes) {
      count += 1;
      const name = `${agentId}-${count}`;
      life.act('blob', () => world.blobs.set(name, bytes.slice()));
      world.note('blob');
      await life.answer(later(world, 1, () => Promise.resolve()));
      return name;
    },
    get: (name) => life.answer(later(world, 1, () => Promise.resolve(world.blobs.get(name)))),
  };
}

function deadOf(world: Surroundings, life: Life): DeadLetters {
  return {
    put(letter, dedupe) {
      life.act('dead letter', () => world.dead.set(dedupe, letter));
      return life.answer(later(world, 1, () => Promise.resolve()));
    },
  };
}

function queuesOf(world: Surroundings, life: Life): Queues {
  return {
    ensure: () => life.answer(Promise.resolve()),
    state: (capability) => life.answer(later(world, 1, () => Promise.resolve(world.queue(capability)?.state()))),
  };
}

function eventsOf(world: Surroundings): EngineEvents {
  return {
    goalAccepted: () => undefined,
    goalRejected: () => undefined,
    goalEnded: ({ status }) => world.note(`goal ${status}`),
    goalRevised: (_goal, { repairs, tasks }) => {
      world.note(`revised ${repairs?.kind ?? (tasks.length === 0 ? 'dropped' : 'planned')}`);
      const [auction] = tasks;
      if (repairs !== undefined && auction?.peer !== undefined) world.note('without a part: auction');
      if (auction?.peer?.excluded !== undefined && auction.failures !== undefined)
        world.note('without a part: announced anew');
    },
    goalStopping: (_goalId, _status, code) => world.note(`stop ${code}`),
    transition: (name, outcome) => world.note(outcome === 'conflict' ? `conflict ${name}` : `transition ${name}`),
    taskStarted: () => undefined,
    taskEnded: ({ status }) => world.note(`task ${status}`),
    taskDropped: () => world.note('work dropped'),
    attemptFailed: (_task, code) => world.note(`attempt ${code}`),
    deadLetter: (origin, code) => world.note(`dead letter ${origin} ${code}`),
    sweepRepair: (what) => world.note(`sweep ${what}`),
    budgetRefused: (limit) => world.note(`budget refused ${limit}`),
    goalSwept: () => undefined,
    reservations: () => undefined,
    reservationsLost: (_goalId, calls) => world.note(`lost ${calls} calls`),
    spent: () => undefined,
    engineError: (where, error) =>
      world.note(
        `error ${where}: ${error instanceof Error ? error.message.replaceAll(/\d+/g, 'n').slice(0, 60) : String(error)}`,
      ),
    capabilityMissing: () => undefined,
  };
}
