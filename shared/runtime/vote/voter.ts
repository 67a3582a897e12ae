/**
 * Answers vote requests. A voter answers a round once: asked again, it sends the same ballot again. It never publishes anywhere but on the
 * subject of the round's ballots under its own token, whatever the request says.
 */
import type { Bus, Clock, Incoming, Operation } from '../../ports.ts';
import { encode } from '../../protocol/codec.ts';
import { TRACEPARENT_HEADER } from '../../protocol/headers.ts';
import { timestamp } from '../../protocol/ids.ts';
import type { Subjects } from '../../protocol/subjects.ts';
import { cleanTraceparent } from '../../protocol/trace.ts';
import { ABSTAIN, type Ballot, decodeVoteRequest, fitBallot, saysOver, type VoteRequest } from '../../protocol/vote.ts';
import { type Tracing, UNTRACED } from '../tracing.ts';
import { BallotMemory } from './ballot-memory.ts';
import { cut, roundOf } from './discussion.ts';
import type { IgnoredReason, VoterObserver } from './observer.ts';

export type Opinion = Pick<Ballot, 'position' | 'confidence' | 'rationale'>;

export interface VoterDeps {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly subjects: Subjects;
  readonly observer: VoterObserver;
  /**
   * This voter's ballot in a round that it may have answered before it was restarted, e.g. from the log stream. Asked once per round, before
   * `decide`; an agent whose id is new with every start needs none.
   */
  readonly recall?: (roundId: string) => Promise<Ballot | undefined>;
  /**
   * Whether nobody waits for a ballot any more: the decision of the round stands, or its goal is over. Asked when a proposer says so, because anybody
   * could say so. Absent: every decision is thought to its end.
   */
  readonly isOver?: (roundId: string, goalId: string | undefined) => Promise<boolean>;
}

export interface VoterOptions {
  readonly agentId: string;
  readonly capabilities: readonly string[];
  /**
   * What this voter thinks. The signal aborts at the round's deadline, at this voter's own limit, when nobody waits for the ballot any more, and at
   * shutdown; a decision that does not heed it keeps its slot. An error is an abstention whose rationale names the error's `code`.
   */
  readonly decide: (request: VoteRequest, signal: AbortSignal, traceparent: string | undefined) => Promise<Opinion>;
  readonly tracing?: Tracing;
  /** Decisions at once. */
  readonly concurrency: number;
  /** Requests that wait for one of them; one more is not answered (I10). */
  readonly queueMax: number;
  /** Rounds whose ballot is remembered, the most recently asked ones. */
  readonly rememberMax?: number;
  /** The longest that one decision may take, whatever deadline a proposer gives, ms. */
  readonly decideMsMax?: number;
  /** Aborting ends the service at once: nothing more is answered. */
  readonly signal?: AbortSignal;
}

export interface VoteService {
  /** Takes no more requests and forgets those that wait; resolves once the decisions under way have ended. */
  drain(): Promise<void>;
}

const REMEMBER_MAX = 1_024;
const DECIDE_MS_MAX = 600_000;
const RATIONALE_MAX = 65_536;

interface Job {
  readonly request: VoteRequest;
  readonly message: Incoming;
  readonly deadlineAt: number;
  readonly controller: AbortController;
}

export function serveVotes(deps: VoterDeps, options: VoterOptions): VoteService {
  const { bus, clock, subjects, observer } = deps;
  const { agentId, decideMsMax = DECIDE_MS_MAX, tracing = UNTRACED } = options;
  const memory = new BallotMemory(options.rememberMax ?? REMEMBER_MAX);
  const queue: Job[] = [];
  /** Rounds that wait or are being decided. */
  const underway = new Map<string, Job>();
  const running = new Set<Promise<void>>();
  /** Rounds about which the store is being asked. */
  const looking = new Set<string>();

  const ignore = (reason: IgnoredReason, message: Incoming, detail: string, roundId?: string) =>
    observer.ignored({ reason, message, detail, ...(roundId === undefined ? {} : { roundId }) });

  function receive(message: Incoming): void {
    const decoded = decodeVoteRequest(message.data);
    if (!decoded.ok) return ignore('malformed', message, decoded.message);
    const request = decoded.value;
    const { roundId, roster } = request;
    const refuse = (reason: IgnoredReason, detail: string) => ignore(reason, message, detail, roundId);

    if (saysOver(request)) return void heedOver(request);
    if (!roster.includes(agentId)) return refuse('not_in_roster', `${agentId} is not asked`);
    const reply = subjects.ballots(roundId);
    if (message.reply !== reply)
      return refuse('foreign_reply', `expected the reply subject ${reply}, got ${message.reply ?? 'none'}`);
    const deadlineAt = Date.parse(request.deadline);
    if (clock.now() >= deadlineAt) return refuse('deadline_passed', `the round ended at ${request.deadline}`);

    const earlier = memory.get(roundId);
    if (earlier !== undefined) return send({ request, message }, earlier, true);
    if (underway.has(roundId)) return refuse('in_progress', 'it will be answered once');
    if (queue.length >= options.queueMax && running.size >= options.concurrency) {
      return refuse(
        'overloaded',
        `${running.size} decisions under way and ${queue.length} waiting; give this voter more slots or add voters`,
      );
    }
    const job = { request, message, deadlineAt, controller: new AbortController() };
    underway.set(roundId, job);
    queue.push(job);
    pump();
  }

  /** A hint: nothing comes of it unless this voter is at that round, and then the store has the last word. */
  async function heedOver(hint: VoteRequest): Promise<void> {
    const round = roundOf(hint.roundId);
    const job = [...underway.values()].find(({ request }) => roundOf(request.roundId) === round);
    // However often it is said, one look at a time (I10).
    if (job === undefined || deps.isOver === undefined || looking.has(round)) return;
    const { roundId, goalId, correlationId } = job.request;
    looking.add(round);
    try {
      if (await deps.isOver(round, goalId)) job.controller.abort(new RoundOver());
    } catch (error) {
      // It thinks to the end.
      observer.failed({ roundId, correlationId, step: 'look', error });
    } finally {
      looking.delete(round);
    }
  }

  function pump(): void {
    while (running.size < options.concurrency) {
      const job = queue.shift();
      if (job === undefined) return;
      const task = answer(job).finally(() => {
        running.delete(task);
        underway.delete(job.request.roundId);
        pump();
      });
      running.add(task);
    }
  }

  async function answer(job: Job): Promise<void> {
    const { request, message, deadlineAt, controller } = job;
    const { roundId } = request;
    const recalled = deps.recall === undefined ? undefined : await recall(job);
    if (recalled !== undefined) {
      memory.set(recalled);
      return send(job, recalled, true);
    }
    const leftMs = Math.min(deadlineAt - clock.now(), decideMsMax);
    // It waited too long for its turn: to think about it now would only cost.
    if (leftMs <= 0) return ignore('deadline_passed', message, `its turn came only after ${request.deadline}`, roundId);
    const cancel = clock.after(leftMs, () => controller.abort(new VoteTimeout(leftMs)));
    const asked = cleanTraceparent(message.header(TRACEPARENT_HEADER));
    const span = tracing.begin(asked);
    const traceparent = span?.traceparent ?? asked;
    const opinion = await think(job, traceparent);
    cancel();
    const said = 'reason' in opinion ? opinion : (tooLate(job) ?? ballotOf(request, opinion));
    if ('reason' in said) {
      const { reason, detail } = said;
      // That the others were quicker is no fault of anybody's.
      const error = reason === 'over' ? undefined : { code: reason, message: detail };
      span?.end({ ...operationOf(job), unsaid: reason }, error);
      return ignore(reason, message, detail, roundId);
    }
    span?.end({ ...operationOf(job), position: said.position });
    memory.set(said);
    tracing.within(traceparent, () => send(job, said, false, traceparent));
  }

  /** Why a ballot is not sent that was decided only now. */
  function tooLate({ request, deadlineAt }: Job): Unsaid | undefined {
    // The voter that is restarted in time still has its vote; an abstention now would take it away.
    if (options.signal?.aborted === true) return { reason: 'stopping', detail: 'shut down before it had decided' };
    if (clock.now() < deadlineAt) return undefined;
    return { reason: 'deadline_passed', detail: `decided only after ${request.deadline}` };
  }

  async function recall(job: Job): Promise<Ballot | undefined> {
    const { roundId, correlationId } = job.request;
    try {
      const ballot = await deps.recall?.(roundId);
      return ballot?.roundId === roundId && ballot.agent === agentId ? ballot : undefined;
    } catch (error) {
      // To decide anew is safe: the proposer counts the first ballot of a voter only (I8).
      observer.failed({ roundId, correlationId, step: 'recall', error });
      return undefined;
    }
  }

  /** Never rejects. */
  async function think({ request, controller }: Job, traceparent: string | undefined): Promise<Opinion | Unsaid> {
    const { signal } = controller;
    try {
      signal.throwIfAborted();
      const opinion = await options.decide(request, signal, traceparent);
      return signal.reason instanceof RoundOver ? OVER : opinion;
    } catch (error) {
      const { roundId, correlationId } = request;
      const cause: unknown = signal.aborted ? signal.reason : error;
      if (cause instanceof RoundOver) return OVER;
      if (cause instanceof OtherQuestion) return OTHER_QUESTION;
      if (options.signal?.aborted !== true) observer.failed({ roundId, correlationId, step: 'decide', error: cause });
      // The code only: a message may carry what must not leave this process.
      return { position: ABSTAIN, rationale: `could not decide: ${codeOf(cause)}` };
    }
  }

  function ballotOf(
    { roundId, options: positions }: VoteRequest,
    { position, confidence, rationale }: Opinion,
  ): Ballot {
    const base = { roundId, agent: agentId, timestamp: timestamp(clock.now()) };
    if (position !== ABSTAIN && !positions.includes(position)) {
      return { ...base, position: ABSTAIN, rationale: 'could not decide: position_not_an_option' };
    }
    const ballot = fitBallot({
      ...base,
      position,
      ...(confidence === undefined ? {} : { confidence }),
      ...(typeof rationale === 'string' ? { rationale: cut(rationale, RATIONALE_MAX) } : {}),
    });
    return ballot.ok ? ballot.value : { ...base, position: ABSTAIN, rationale: 'could not decide: invalid_ballot' };
  }

  function send(
    { request, message }: Pick<Job, 'request' | 'message'>,
    ballot: Ballot,
    repeated: boolean,
    spoken?: string,
  ): void {
    const { roundId, correlationId } = request;
    const traceparent = spoken ?? cleanTraceparent(message.header(TRACEPARENT_HEADER));
    try {
      bus.publish(
        subjects.ballot(roundId, agentId),
        encode(ballot),
        traceparent === undefined ? {} : { headers: { [TRACEPARENT_HEADER]: traceparent } },
      );
    } catch (error) {
      observer.failed({ roundId, correlationId, step: 'publish', error });
      return;
    }
    observer.answered({ roundId, correlationId, ballot, repeated });
  }

  const unsubscribes = [...new Set(options.capabilities)].map((capability) =>
    bus.subscribe(subjects.vote(capability), receive),
  );

  function stop(): void {
    for (const unsubscribe of unsubscribes.splice(0)) unsubscribe();
    for (const { request, message } of queue.splice(0))
      ignore('stopping', message, 'shut down before its turn', request.roundId);
  }

  function abort(): void {
    stop();
    for (const { controller } of underway.values()) controller.abort(options.signal?.reason);
  }

  if (options.signal?.aborted === true) abort();
  else options.signal?.addEventListener('abort', abort, { once: true });

  return {
    drain: async () => {
      stop();
      await Promise.all(running);
      options.signal?.removeEventListener('abort', abort);
    },
  };
}

/** Why a ballot is not sent. */
interface Unsaid {
  readonly reason: IgnoredReason;
  readonly detail: string;
}

const OVER: Unsaid = { reason: 'over', detail: 'it was over before this voter had decided' };
const OTHER_QUESTION: Unsaid = {
  reason: 'other_question',
  detail: 'the id of the round is that of another question',
};

function operationOf({ request, message }: Job): Operation & { readonly kind: 'vote' } {
  const { roundId, goalId } = request;
  return { kind: 'vote', subject: message.subject, roundId, ...(goalId === undefined ? {} : { goalId }) };
}

/** The time for one decision ran out before its round did. */
class VoteTimeout extends Error {
  readonly code = 'vote_timeout';
  constructor(limitMs: number) {
    super(`no decision within ${limitMs} ms`);
  }
}

/** Thrown by a decision that finds that the round's id belongs to another question: it must get no ballot, not even an abstention. */
export class OtherQuestion extends Error {
  readonly code = 'other_question';
}

/** Thrown by a decision that finds that nobody waits for it, and the reason of its signal when this voter was told. */
export class RoundOver extends Error {
  readonly code = 'round_over';
}

const CODE = /^[A-Za-z0-9_.-]{1,64}$/;

function codeOf(error: unknown): string {
  const code: unknown = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return typeof code === 'string' && CODE.test(code) ? code : 'handler_error';
}
