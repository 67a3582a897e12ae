/** A handler's context without a mesh: answers come from the test, and what the handler asked and logged can be read afterwards. */
import { z } from 'zod';
import type { Presence } from '../../shared/protocol/agent.ts';
import type { VoteRequest } from '../../shared/protocol/vote.ts';
import {
  type Answer,
  type Ask,
  HandlerError,
  type TaskContext,
  type VoterContext,
} from '../../shared/runtime/context.ts';

export interface Question {
  readonly name: string;
  readonly system: string;
  /** The user message, parsed: handlers send JSON. */
  readonly user: Record<string, unknown>;
  readonly schema: z.ZodType;
}

/** Answers a question of that name; an Error it returns is thrown as the runtime would throw it. */
export type Reply = (question: Question, asked: number) => unknown;

export interface FakeOptions<In> {
  readonly agentId?: string;
  readonly taskId?: string;
  readonly description?: string;
  readonly input?: In;
  readonly dependencies?: Readonly<Record<string, unknown>>;
  readonly attempt?: number;
  readonly reasons?: readonly string[];
  readonly goal?: {
    readonly description?: string;
    readonly input?: unknown;
    readonly pattern?: string;
    readonly onTaskFailure?: string;
  };
  readonly failures?: TaskContext['failures'];
  readonly answers?: TaskContext['answers'];
  readonly agents?: readonly Presence[];
  readonly signal?: AbortSignal;
  readonly offline?: boolean;
  /** By the name of the structured output. A question without a reply fails the test. */
  readonly replies?: Readonly<Record<string, Reply>>;
}

export interface Recorded {
  readonly asked: Question[];
  readonly logged: {
    readonly level: 'info' | 'warn';
    readonly fields: Readonly<Record<string, unknown>>;
    readonly message: string;
  }[];
}

export type Fake<In> = Recorded & { readonly context: TaskContext<In> };

export function fakeContext<In = unknown>(options: FakeOptions<In> & { readonly input: In }): Fake<In>;
export function fakeContext(options?: FakeOptions<unknown>): Fake<unknown>;
export function fakeContext(options: FakeOptions<unknown> = {}): Fake<unknown> {
  const recorded: Recorded = { asked: [], logged: [] };
  const context: TaskContext = {
    ...voterContext(options, recorded),
    goalId: 'goal-1',
    taskId: options.taskId ?? 't1',
    capability: 'capability-1',
    description: options.description ?? 'Do it',
    input: options.input,
    dependencies: options.dependencies ?? {},
    failures: options.failures ?? [],
    attempt: options.attempt ?? 1,
    reasons: options.reasons ?? [],
    goal: () =>
      Promise.resolve({
        description: options.goal?.description ?? 'Brief this text',
        input: options.goal?.input,
        pattern: options.goal?.pattern ?? 'orchestrator',
        onTaskFailure: options.goal?.onTaskFailure ?? 'fail',
      }),
    agents: () => Promise.resolve(options.agents ?? []),
    done: [],
    answers: options.answers ?? [],
    askPeer: () => Promise.resolve({ ok: false, reason: 'nobody is there' }),
  };
  return { ...recorded, context };
}

/** What a voter is given. */
export function fakeVoter(options: FakeOptions<unknown> = {}): Recorded & { readonly context: VoterContext } {
  const recorded: Recorded = { asked: [], logged: [] };
  return { ...recorded, context: voterContext(options, recorded) };
}

function voterContext(options: FakeOptions<unknown>, { asked, logged }: Recorded): VoterContext {
  return {
    agentId: options.agentId ?? 'agent-1',
    signal: options.signal ?? new AbortController().signal,
    log: {
      info: (fields, message) => logged.push({ level: 'info', fields, message }),
      warn: (fields, message) => logged.push({ level: 'warn', fields, message }),
    },
    ask: <T>(question: Ask<T>) => Promise.resolve().then(() => answer(question, options, asked)),
  };
}

function answer<T>(ask: Ask<T>, options: FakeOptions<unknown>, asked: Question[]): Answer<T> {
  const question: Question = {
    name: ask.name,
    system: ask.system,
    user: Object(JSON.parse(ask.user)),
    schema: ask.schema,
  };
  asked.push(question);
  const reply = options.replies?.[ask.name];
  if (reply === undefined) throw new Error(`the test has no reply to a question named "${ask.name}"`);
  const value = reply(question, asked.filter(({ name }) => name === ask.name).length);
  if (value instanceof Error) throw value;
  const fits = ask.schema.safeParse(value);
  if (!fits.success) throw new HandlerError('invalid_output', fits.error.message);
  const usage = { inputTokens: 10, outputTokens: 10, usd: 0 };
  return { value: fits.data, usage, model: 'fake', offline: options.offline ?? true, repaired: false };
}

/** A live agent, for `agents`. */
export function present(agentId: string, ...capabilities: string[]): Presence {
  return {
    agentId,
    role: 'agent',
    capabilities,
    startedAt: '2030-01-01T00:00:00.000Z',
    version: '1.0.0',
    load: { running: 0, slots: 1 },
  };
}

/** `context` arrives as it would over the wire: without what is undefined. */
export function voteRequest(context: unknown, options: readonly string[] = ['approve', 'reject']): VoteRequest {
  return {
    roundId: 'round-1',
    proposal: 'Accept the result?',
    ...(context === undefined ? {} : { context: z.json().parse(JSON.parse(JSON.stringify(context))) }),
    options: [...options],
    rule: { method: 'majority' },
    roster: ['agent-1'],
    deadline: '2030-01-01T00:00:10.000Z',
    correlationId: 'goal-1',
  };
}
