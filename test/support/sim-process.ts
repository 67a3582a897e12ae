/** One agent process of the simulation: the real engine, wired as the agent wires it, on ports that can die and freeze under it. */
import type {
  BlobStore,
  Bus,
  Clock,
  CommitOutcome,
  DagStore,
  DeadLetters,
  Delivery,
  Queues,
  Registry,
  Write,
} from '../../shared/ports.ts';
import { decode, encode } from '../../shared/protocol/codec.ts';
import { CancelRequest } from '../../shared/protocol/goal.ts';
import { timestamp } from '../../shared/protocol/ids.ts';
import { ReplanRequest } from '../../shared/protocol/plan.ts';
import { PLAN_CAPABILITY, type Subjects } from '../../shared/protocol/subjects.ts';
import type { TaskRecord } from '../../shared/protocol/task.ts';
import { type RoundRecord, RoundRecord as RoundSchema } from '../../shared/protocol/vote.ts';
import { HandlerError } from '../../shared/runtime/context.ts';
import type { RunHandler } from '../../shared/runtime/engine/attempt.ts';
import { UNTRACED } from '../../shared/runtime/tracing.ts';
import type { Deps } from '../../shared/runtime/engine/deps.ts';
import { type Engine, engineOf } from '../../shared/runtime/engine/engine.ts';
import type { EngineEvents } from '../../shared/runtime/engine/events.ts';
import type { Ledgers } from '../../shared/runtime/engine/ledgers.ts';
import { readGoal, readTasks } from '../../shared/runtime/engine/records.ts';
import type { HoldRound } from '../../shared/runtime/engine/review.ts';
import type { MemoryBroker, MemoryBus, VirtualClock } from './memory-bus.ts';
import type { MemoryDag } from './memory-dag.ts';
import type { MemoryPull, MemoryQueue } from './memory-queue.ts';
import { type Behaviour, type Dice, MICRO, planAnew, resultOf } from './sim-goals.ts';
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
const CANCELS_AT_ONCE = 2;
const USD_PER_MESSAGE = MICRO;

export function startProcess(world: Surroundings, options: ProcessOptions): SimProcess {
  const { agentId, life, dice } = options;
  const bus = world.broker.connect(agentId);
  const clock = clockOf(world.clock, life);
  const deps: Deps = {
    store: storeOf(world, life, dice),
    bus: busOf(bus, life),
    blobs: blobsOf(world, life, agentId),
    dead: deadOf(world, life),
    queues: queuesOf(world, life),
    registry: { list: () => life.answer(later(world, 0, () => world.registry.list())) },
    clock,
    random: dice.random,
    subjects: world.subjects,
    agentId,
    handOver: () => Promise.resolve('silent'),
    events: eventsOf(world),
    tracing: UNTRACED,
    leaseMs: world.leaseMs,
    communication: { usdPerMessage: USD_PER_MESSAGE, usdPerKiB: 0 },
  };
  const engine = engineOf(deps, {
    runHandler: (ledgers) => handlerOf(world, deps, ledgers),
    hold: holdOf(deps, dice),
    predict: (tasks) => tasks.length * MICRO,
  });
  const pulls = pullsOf(world, engine, options);
  deps.bus.subscribe(`${world.subjects.inbox(agentId)}.ended`, ({ data }) => {
    const ended = decode(CancelRequest, data);
    if (ended.ok) engine.goalEnded(ended.value.goalId);
  });
  deps.bus.subscribe(world.subjects.goalsCancel, ({ data }) => {
    const cancel = decode(CancelRequest, data);
    if (cancel.ok) engine.recheck(cancel.value.goalId);
  });
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

  return {
    commit(writes) {
      const { promise, resolve, reject } = Promise.withResolvers<CommitOutcome>();
      life.act('commit', (cut) => {
        // Whatever becomes of it, nobody is left to hear.
        if (cut) later(world, way(), () => cutOff(writes)).catch(() => undefined);
        else roundTrip(() => dag.commit(writes)).then(resolve, reject);
      });
      return promise;
    },
    read: (key) => roundTrip(() => dag.read(key)),
    readMany: (keys) => roundTrip(() => dag.readMany(keys)),
    scan: (pattern) =>
      roundTrip(() => {
        if (!dice.chance(world.staleScans)) return dag.scan(pattern);
        world.note('stale scan');
        return dag.scanPast(pattern, dice.int(1, 12));
      }),
  };
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
    goalRevised: (_goal, { repairs }) => world.note(`revised${repairs === undefined ? '' : ` ${repairs.kind}`}`),
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

/** The planner is told names and words of what failed; what would do instead is written into those tasks themselves. */
async function anew(deps: Deps, task: TaskRecord, { failed, finished }: ReplanRequest['replan']): Promise<unknown> {
  const ids = failed.map(({ taskId }) => taskId);
  const records = await readTasks(deps, task.goalId, ids);
  const behaviours = [...records.values()].map(({ record }) => record.input as unknown as Behaviour);
  return planAnew(
    task.taskId,
    behaviours,
    finished.map(({ taskId }) => taskId),
  );
}

function handlerOf(world: Surroundings, deps: Deps, ledgers: Ledgers): RunHandler {
  const wait = (ms: number): Promise<void> => new Promise((resolve) => deps.clock.after(ms, resolve));
  return async ({ task, attempt, input, dependencies, beforeSideEffect, onCost }) => {
    const asked = ReplanRequest.safeParse(input);
    if (asked.success) return anew(deps, task, asked.data.replan);
    const { ms, failTimes = 0, fatal, calls = [], sideEffect, bulk, plan, revises } = input as Behaviour;
    const { goalId, taskId } = task;
    if (sideEffect === true || calls.length > 0) await beforeSideEffect();
    for (const { worst, actual } of calls) {
      const limits = (await readGoal(deps, goalId))?.record.budget ?? {};
      const holder = { agentId: deps.agentId, taskId, attempt };
      const reservation = await ledgers.reserve(goalId, limits, holder, {
        usd: worst * MICRO,
        inputTokens: worst,
        outputTokens: 0,
      });
      if (!reservation.granted) throw new HandlerError('budget_exceeded', reservation.message, { retry: false });
      world.billed.set(goalId, (world.billed.get(goalId) ?? 0) + actual);
      await wait(5);
      await reservation.settle({ usd: actual * MICRO, inputTokens: actual, outputTokens: 0 });
      onCost({ usd: actual * MICRO, inputTokens: actual, outputTokens: 0, messages: 0 });
    }
    if (ms > 0) await wait(ms);
    if (fatal === true) throw new HandlerError('fatal', 'nothing helps', { retry: false });
    if (attempt <= failTimes) throw new HandlerError('flaky', `attempt ${attempt} fails`);
    const missing = (task.failures ?? []).map((failure) => failure.taskId);
    return task.capability === PLAN_CAPABILITY ? (revises ?? plan) : resultOf(taskId, bulk, dependencies, missing);
  };
}

/** A vote round whose voters toss coins. The decision is stored once, and found by whoever holds the round again. */
function holdOf(deps: Deps, dice: Dice): HoldRound {
  return async (spec) => {
    const key = deps.subjects.roundKey(spec.roundId);
    const standing = async (): Promise<RoundRecord | undefined> => {
      const stored = await deps.store.read(key);
      return stored === undefined ? undefined : RoundSchema.parse(JSON.parse(new TextDecoder().decode(stored.data)));
    };
    const openedAt = timestamp(deps.clock.now());
    const before = await standing();
    if (before !== undefined) return before;
    const { roundId, proposal, options, rule, roster, correlationId } = spec;
    spec.onSaid?.({ type: 'vote', bytes: 200, voters: roster.length, again: false });
    await new Promise<void>((resolve) => deps.clock.after(dice.int(1, 300), resolve));
    spec.signal.throwIfAborted();
    if (dice.chance(0.2)) spec.onSaid?.({ type: 'vote', bytes: 200, voters: 1, again: true });
    for (let ballot = dice.int(0, roster.length); ballot > 0; ballot -= 1) spec.onSaid?.({ type: 'ballot', bytes: 90 });
    const position = dice.chance(0.7) ? 'approve' : 'reject';
    const outcome = dice.chance(0.2)
      ? { consensus: false, reason: 'no_majority' as const }
      : { consensus: true, position, votes: roster.length };
    const ballots = roster.map((agent) => ({ roundId, agent, position, timestamp: openedAt }));
    const record: RoundRecord = {
      roundId,
      proposal,
      options: [...options],
      rule,
      roster: [...roster],
      ballots,
      ...outcome,
      correlationId,
      openedAt,
      decidedAt: timestamp(deps.clock.now()),
    };
    const written = await deps.store.commit([
      { subject: deps.subjects.dagSubject(key), data: encode(record), expect: 0 },
    ]);
    return written.status === 'committed' ? record : ((await standing()) ?? record);
  };
}
