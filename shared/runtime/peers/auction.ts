/**
 * Holding an auction: the goal is announced to everybody who could take it, their bids are collected for a moment (less, when all have answered), and the
 * best offer is the award. It is a task like any other, on whichever agent gets it: a crash in the middle means that another one asks again.
 */
import { type Asked, awardOf, type Received } from '../../core/auction.ts';
import { encode, fit } from '../../protocol/codec.ts';
import { timestamp } from '../../protocol/ids.ts';
import type { Presence } from '../../protocol/agent.ts';
import { ANNOUNCE, type Announcement, ASKED_MAX, type Award, Bid } from '../../protocol/peer.ts';
import type { TaskRecord } from '../../protocol/task.ts';
import { NO_COST, type TaskCost } from '../../protocol/task.ts';
import { HandlerError } from '../context.ts';
import type { Deps } from '../engine/deps.ts';
import type { Ledgers } from '../engine/ledgers.ts';
import { inAll } from '../engine/talk.ts';
import { readGoal, readTasks } from '../engine/records.ts';
import type { Calls, Reply } from './calls.ts';

/** How long bids are waited for. */
const WINDOW_MS = 500;
/** A bid is charged for at most so many bytes. */
const BID_BYTES_MAX = 8_192;
/** What an envelope adds to an announcement. */
const ENVELOPE_BYTES = 1_024;
const DESCRIPTION_MAX = 4_000;

export interface AuctionCall {
  readonly task: TaskRecord;
  readonly attempt: number;
  readonly signal: AbortSignal;
  readonly beforeSideEffect: () => Promise<void>;
  readonly onCost: (cost: TaskCost) => void;
}

export interface Auctioneer {
  readonly deps: Deps;
  readonly calls: Calls;
  readonly ledgers: Ledgers;
}

/** Throws HandlerError: `no_bids` (held again, later), `budget_exceeded`, `invalid_input` for a task that is no auction. */
export async function holdAuction({ deps, calls, ledgers }: Auctioneer, call: AuctionCall): Promise<Award> {
  const { task, attempt, signal } = call;
  const { goalId, taskId, correlationId, peer } = task;
  if (peer?.role !== 'auction')
    throw new HandlerError('invalid_input', `task ${taskId} is no auction of a peer-to-peer goal`, { retry: false });
  await call.beforeSideEffect();
  const auction = `${goalId}.${taskId}.${attempt}`;
  const asked = askedOf(await deps.registry.list(), peer.capability, peer.excluded ?? []);
  const done = await readTasks(deps, goalId, task.dependencies);
  const content: Announcement = {
    auction,
    goalId,
    taskId,
    description: task.description.slice(0, DESCRIPTION_MAX).toWellFormed(),
    ...(peer.capability === undefined ? {} : { capability: peer.capability }),
    hops: peer.hops,
    done: [...done.values()].map(({ record }) => ({ taskId: record.taskId, capability: record.capability })),
    closesAt: timestamp(deps.clock.now() + WINDOW_MS),
  };
  const about = { goalId, taskId, correlationId, hops: peer.hops, traceparent: deps.tracing.attempt(task, attempt) };
  const size = encode(content).length + ENVELOPE_BYTES;
  const most = {
    announce: { messages: asked.length, bytes: asked.length * size },
    bid: { messages: asked.length, bytes: asked.length * BID_BYTES_MAX },
  };
  const goal = await readGoal(deps, goalId);
  const holder = { agentId: deps.agentId, taskId, attempt };
  const exchange = await ledgers.exchange(goalId, goal?.record.budget ?? {}, holder, most);
  if (!exchange.granted) throw new HandlerError('budget_exceeded', exchange.message, { retry: false });
  const replies = await Promise.all(
    asked.map(({ agentId }) =>
      calls.call({ to: agentId, messageType: ANNOUNCE, content, about, withinMs: WINDOW_MS, signal }),
    ),
  );
  const said = saidIn(replies, asked.length, size);
  await exchange.settle(said);
  call.onCost({ ...NO_COST, ...inAll(said) });
  const award = awardOf(auction, peer.capability, asked, bidsIn(replies, asked));
  if (award !== undefined) return award;
  const wanted = peer.capability === undefined ? 'any capability' : `capability ${peer.capability}`;
  throw new HandlerError(
    'no_bids',
    `expected an offer for ${wanted}, got none of ${asked.length} agents that were asked; start an agent that bids for it`,
  );
}

/** Whoever says that it would begin a goal, or has the capability that is asked for; never one that had this very work before. */
function askedOf(agents: readonly Presence[], capability: string | undefined, excluded: readonly string[]): Asked[] {
  const suited = agents.filter(
    (agent) =>
      !excluded.includes(agent.agentId) &&
      (capability === undefined ? (agent.begins ?? []).length > 0 : agent.capabilities.includes(capability)),
  );
  return suited
    .toSorted((one, other) => one.load.running / one.load.slots - other.load.running / other.load.slots)
    .slice(0, ASKED_MAX)
    .map(({ agentId, capabilities }) => ({ agentId, capabilities }));
}

function bidsIn(replies: readonly (Reply | undefined)[], asked: readonly Asked[]): Received[] {
  return replies.flatMap((reply, index) => {
    const bid = reply === undefined ? undefined : fit(Bid, reply.content);
    return bid?.ok === true ? [{ agentId: asked[index]?.agentId ?? '', bid: bid.value }] : [];
  });
}

function saidIn(replies: readonly (Reply | undefined)[], asked: number, size: number) {
  const came = replies.filter((reply) => reply !== undefined);
  const sent = came.reduce((sum, { sentBytes }) => sum + Math.min(sentBytes, size), (asked - came.length) * size);
  const received = came.reduce((sum, { bytes }) => sum + Math.min(bytes, BID_BYTES_MAX), 0);
  return { announce: { messages: asked, bytes: sent }, bid: { messages: came.length, bytes: received } };
}
