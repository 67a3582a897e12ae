/**
 * What the core and the runtime need from the outside world, as types only. Adapters implement them on NATS and on an
 * OpenAI-compatible endpoint; the simulation implements them in memory. Nothing here may import an adapter.
 */
import type { z } from 'zod';
import type { Presence } from './protocol/agent.ts';
import type { DeadLetter } from './protocol/dead.ts';

/** Milliseconds since the epoch, and timers; a simulation passes its own. */
export interface Clock {
  /** Wall-clock time, milliseconds since the Unix epoch. */
  now(): number;
  /** Calls `run` once after `delayMs`; the returned function cancels it. Never keeps the process alive by itself. */
  after(delayMs: number, run: () => void): () => void;
}

/** Uniform in [0, 1). */
export type Random = () => number;

/** The most that one HTTP call to a model may cost. */
export interface WorstCase {
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly usd: number;
  /** The call has ended within so long, milliseconds. */
  readonly withinMs?: number;
}

/** What one HTTP call to a model did cost. */
export interface ModelUsage {
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly usd: number;
}

/**
 * The budget as a model client sees it (I4): nothing is sent before `reserve` has granted the worst case, and every granted
 * reservation is settled exactly once.
 */
export interface SpendGate {
  reserve(worst: WorstCase): Promise<Reservation>;
}

export type Reservation =
  | { readonly granted: true; settle(actual: ModelUsage): Promise<void> }
  /** `limit` names the budget that would be exceeded: `usd`, `tokens`...; `ended`: the goal is over, or about to be. */
  | { readonly granted: false; readonly limit: string; readonly message: string };

export interface ModelRequest<T> {
  /** Name of the structured output, `^[a-zA-Z0-9_-]{1,64}$`; sent as `response_format.json_schema.name`. */
  readonly name: string;
  readonly system: string;
  readonly user: string;
  readonly schema: z.ZodType<T>;
  readonly maxOutputTokens: number;
  readonly budget: SpendGate;
  /** Aborting closes the HTTP request. */
  readonly signal: AbortSignal;
  /** Extra HTTP headers, e.g. `traceparent`. */
  readonly headers?: Readonly<Record<string, string>>;
}

export type ModelAnswer<T> =
  | {
      readonly ok: true;
      readonly value: T;
      readonly usage: ModelUsage;
      readonly model: string;
      readonly calls: number;
      readonly repaired: boolean;
      readonly offline: boolean;
    }
  | {
      readonly ok: false;
      /**
       * `invalid_output`: the answer did not fit the schema, also after one repair. `unavailable`: transport, 429, 5xx, timeout or
       * open breaker, after retries. `refused`: the endpoint refuses the request itself (4xx). `budget`: no reservation. `aborted`: the signal.
       */
      readonly reason: 'invalid_output' | 'unavailable' | 'refused' | 'budget' | 'aborted';
      readonly message: string;
      /** With `budget`: the limit that stopped the call. */
      readonly limit?: string;
      /** With `unavailable`: when a further try makes sense, in milliseconds from now. */
      readonly retryAfterMs?: number;
      readonly usage: ModelUsage;
      readonly calls: number;
    };

/** A language model that answers with one structured value. */
export interface Model {
  readonly name: string;
  complete<T>(request: ModelRequest<T>): Promise<ModelAnswer<T>>;
}

/** One write to the DAG stream. `expect` is the revision of the same key that it may replace; 0: the key must not exist. */
export interface Write {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly expect?: number;
  /** Drops a repetition of the same item within the stream's duplicate window. */
  readonly dedupe?: string;
  /** The stream drops it after so long, e.g. `10s`. */
  readonly ttl?: string;
}

export type CommitOutcome =
  /** The guard stands. `revisions`: of each write, in order; undefined where a later write's own guard failed. */
  | { readonly status: 'committed'; readonly revisions: readonly (number | undefined)[] }
  /** The first write's guard failed: somebody else moved that key. Nothing of this transition was written by us. */
  | { readonly status: 'conflict' };

/** The transition was in doubt, and nothing of it was written but perhaps its guard, as this revision. */
export interface Held {
  readonly status: 'held';
  readonly revision: number | undefined;
}

export interface Stored {
  readonly data: Uint8Array;
  readonly revision: number;
}

/**
 * The DAG stream. A transition is a list of writes of which the first is its guard: it stands before any other is sent, and the others can be
 * repeated by whoever resumes the transition after a crash (so they need no guard, or their conflict says that it was done already).
 */
export interface DagStore {
  commit(transition: readonly Write[]): Promise<CommitOutcome>;
  /** The same, but what follows the guard is written only if `doubt`, which must not reject, turns out false. The guard need not wait for it. */
  commitUnless(transition: readonly Write[], doubt: Promise<boolean>): Promise<CommitOutcome | Held>;
  /** The last revision as the stream's leader knows it; undefined when the key does not exist. */
  read(key: string): Promise<Stored | undefined>;
  /** Last revisions of many keys, in any order of arrival; a key that does not exist is absent. Positive answers are true for ever only for terminal records. */
  readMany(keys: readonly string[]): Promise<ReadonlyMap<string, Stored>>;
  /** Last revisions of all keys that match one of these (`task.<goalId>.*`, or keys), perhaps a little late: trust what it says of terminal records only. */
  scan(patterns: readonly string[]): Promise<ReadonlyMap<string, Stored>>;
}

/** A work item, or a receipt, as the broker delivered it. Exactly one of ack, retry and discard ends it; a silent end is a redelivery after the lease. */
export interface Delivery {
  readonly subject: string;
  readonly data: Uint8Array;
  /** Sequence in its stream. */
  readonly sequence: number;
  /** When it was stored, ms since the epoch. */
  readonly storedAt: number;
  /** The message's W3C trace context, as it came: unchecked. */
  readonly traceparent?: string | undefined;
  /** 1 for the first delivery. More: whoever had it lost its lease, or gave it back. */
  readonly deliveries: number;
  /** Where its end is told: another agent that knows this can end it too. */
  readonly handle: string;
  ack(): void;
  /** Redelivered after `delayMs`. */
  retry(delayMs: number): void;
  /** Extends the lease by its full length. */
  extend(): void;
}

/** A delivery that another agent was given and hands over; undefined when `handle` is no item of this capability's queue, or the item is over. */
export type Adopt = (handle: string, capability: string) => Promise<Delivery | undefined>;

/**
 * Gives a delivery to another agent. `taken`: that agent ends it. `busy`: not now. `silent`: no answer came in time, or one that means nothing; it may be
 * taken all the same.
 */
export type HandOver = (
  to: string,
  delivery: Delivery,
  about: {
    readonly capability: string;
    readonly goalId: string;
    readonly correlationId: string;
    readonly traceparent?: string | undefined;
  },
) => Promise<'taken' | 'busy' | 'refused' | 'silent'>;

/** A queue that hands out at most as many deliveries as it was given credit for. */
export interface Pull {
  /** Adds credit for `count` deliveries. */
  request(count: number): void;
  /** Asks for no more; deliveries that are under way still arrive. */
  stop(): Promise<void>;
}

/** Large values, by name. */
export interface BlobStore {
  /** Stores bytes under a fresh name and returns it. */
  put(bytes: Uint8Array): Promise<string>;
  get(name: string): Promise<Uint8Array | undefined>;
}

export interface Incoming {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly reply: string | undefined;
  header(name: string): string | undefined;
}

/** At-most-once messaging between agents; whatever is said here is in the log stream too. */
export interface Bus {
  publish(
    subject: string,
    data: Uint8Array,
    options?: { readonly reply?: string; readonly headers?: Readonly<Record<string, string>> },
  ): void;
  /** `queue`: one of the subscribers of that name gets each message. Returns the unsubscribe function. */
  subscribe(subject: string, handle: (message: Incoming) => void, options?: { readonly queue?: string }): () => void;
  /** Resolves once the broker has seen everything published and subscribed so far. */
  flush(): Promise<void>;
}

/** Presence of agents, by TTL keys. */
export interface Registry {
  /** All agents that are alive now. */
  list(): Promise<readonly Presence[]>;
}

/** Where refused and exhausted work is kept. `dedupe` makes a repetition harmless. */
export interface DeadLetters {
  put(letter: DeadLetter, dedupe: string): Promise<void>;
}

/** An operation that is over, in this project's words; the adapter gives it the names that the conventions have for it. */
export interface FinishedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId?: string;
  /** Milliseconds since the epoch, with fractions. */
  readonly startMs: number;
  readonly endMs: number;
  readonly operation: Operation;
  /** Absent: it went well. `code` is stable, of few values. */
  readonly error?: { readonly code: string; readonly message: string };
}

export type Operation =
  /** A client hands in a goal. */
  | { readonly kind: 'submit'; readonly subject: string; readonly goalId: string }
  /** From its first record to its last. */
  | {
      readonly kind: 'goal';
      readonly goalId: string;
      readonly pattern: string;
      readonly status: string;
      readonly tasks: Readonly<Record<'total' | 'completed' | 'failed' | 'cancelled', number>>;
      readonly tokens: number;
      readonly usd: number;
      readonly predictedUsd: number;
    }
  /** An agent takes a submission in: checks it, and writes the goal's first records. */
  | { readonly kind: 'accept'; readonly subject: string; readonly goalId: string }
  /** One attempt at a task, told by whoever wrote the record that ended it; `agentId` worked on it. */
  | {
      readonly kind: 'attempt';
      readonly goalId: string;
      readonly taskId: string;
      readonly capability: string;
      readonly attempt: number;
      readonly agentId: string;
      readonly dependencies: readonly string[];
      /** How it ended: the name of the transition. */
      readonly ending: string;
      /** Of all attempts at the task so far. */
      readonly taskUsd: number;
    }
  /** One question to the model, with all of its retries. */
  | {
      readonly kind: 'model';
      readonly name: string;
      readonly model: string;
      readonly answeredBy?: string;
      readonly goalId?: string;
      readonly maxOutputTokens: number;
      readonly inputTokens: number;
      readonly outputTokens: number;
      readonly usd: number;
      readonly calls: number;
      readonly repaired: boolean;
      readonly offline: boolean;
    }
  /** A round of votes, from the first request to the stored decision. */
  | {
      readonly kind: 'round';
      readonly roundId: string;
      readonly capability: string;
      readonly goalId?: string;
      readonly taskId?: string;
      readonly method: string;
      readonly voters: number;
      readonly outcome: string;
      readonly ballots: readonly { readonly agent: string; readonly position: string; readonly atMs: number }[];
    }
  /** A voter makes up its mind. */
  | {
      readonly kind: 'vote';
      readonly subject: string;
      readonly roundId: string;
      readonly goalId?: string;
      /** What it said, if it said something. */
      readonly position?: string;
      /** Why it said nothing. */
      readonly unsaid?: string;
    }
  /** A message between agents, at its sender and at its receiver. */
  | {
      readonly kind: 'send' | 'receive';
      readonly subject: string;
      readonly messageType: string;
      readonly messageId: string;
      readonly sender: string;
      readonly receiver: string;
      readonly correlationId: string;
      readonly bytes: number;
    };

/** Where finished spans go. Never throws and never waits: what cannot be kept is dropped, and said in the log. */
export interface Tracer {
  record(span: FinishedSpan): void;
  /** Whether a trace that begins here is kept. The same answer in every process that is set up alike. */
  samples(traceId: string): boolean;
  /** Sends what is left. */
  close(): Promise<void>;
}

/** What the queues of the mesh look like from the broker. */
export interface Queues {
  /** Makes sure that the capability has its shared queue. */
  ensure(capability: string): Promise<void>;
  /** Undefined when the capability has no queue, that is: nobody ever had it. */
  state(capability: string): Promise<QueueState | undefined>;
}

export interface QueueState {
  /** Items that no agent was given yet. */
  readonly waiting: number;
  /** Items that an agent holds. */
  readonly held: number;
  /** Every item up to this stream sequence was handed out at least once. */
  readonly deliveredUpTo: number;
}

/** A queue of the mesh, as the monitor sees it. */
export interface SurveyedQueue extends Omit<QueueState, 'deliveredUpTo'> {
  readonly capability: string;
  /** Of those that are held, how many were handed out more than once. */
  readonly redelivered: number;
  /** When the oldest waiting item was stored, ms since the epoch; undefined when none waits. */
  readonly oldestAt: number | undefined;
}

/** What was submitted and is not over. */
export interface Submissions {
  /** The submission with this sequence in `<m>_goals`, from the stream's leader; undefined when there is none, or its goal is over. */
  at(sequence: number): Promise<{ readonly subject: string; readonly data: Uint8Array } | undefined>;
}

/** The submissions of the mesh. */
export interface SurveyedGoals {
  /** Not accepted by an agent yet. */
  readonly waiting: number;
  /** Accepted and not terminal, as far as the broker was told. */
  readonly open: number;
  /** When the oldest of either was submitted, ms since the epoch. */
  readonly oldestAt: number | undefined;
}

export type SurveyedStream = {
  readonly stream: 'goals' | 'dag' | 'log' | 'dead' | 'agents' | 'blobs';
} & (
  | {
      readonly led: true;
      readonly messages: number;
      readonly bytes: number;
      /** Copies that there should be, and those that are up to date, the leader's included. */
      readonly replicas: number;
      readonly current: number;
      /** Revisions that the stream which it copies has and it has not; undefined for a stream that copies none. */
      readonly sourceLag: number | undefined;
    }
  /** The broker answers, but nobody speaks for the stream: it has no leader, that is no quorum. */
  | { readonly led: false }
);

/** What JetStream uses for the account of the mesh. */
export interface SurveyedAccount {
  readonly storageBytes: number;
  readonly memoryBytes: number;
  /** Infinity: unlimited. */
  readonly storageLimitBytes: number;
}

/** Looks at the mesh from the broker's side. Each part rejects by itself. Costs the broker some requests: for one agent at a time. */
export interface Surveyor {
  queues(): Promise<readonly SurveyedQueue[]>;
  goals(): Promise<SurveyedGoals>;
  /** Streams that do not exist are absent. */
  streams(): Promise<readonly SurveyedStream[]>;
  account(): Promise<SurveyedAccount>;
}
