/**
 * Who is awarded the work. Of each offer
 *
 *     score = confidence x (1 - busy / 2) x (1 - dear / 4)
 *
 * with busy = running / slots (at most 1), dear = its price / the highest price offered. So an agent that is sure of itself and idle and cheap comes first;
 * being fully busy costs half of that, being the dearest a quarter. Equal scores: the cheaper one, then the less busy one, then the one whose id comes
 * first in an order that differs from auction to auction, so that it is not always the same. The same offers give the same award, whoever counts.
 */
import type { Award, Bid } from '../protocol/peer.ts';

export interface Received {
  readonly agentId: string;
  readonly bid: Bid;
}

export interface Asked {
  readonly agentId: string;
  readonly capabilities: readonly string[];
}

type Offer = Award['offers'][number];

const BUSY_SHARE = 0.5;
const DEAR_SHARE = 0.25;
/** Scores are rounded to this, so that equal ones are equal whatever order their factors were multiplied in. */
const PRECISION = 1e9;
/** As many offers as an award keeps. */
const OFFERS_KEPT = 64;

/**
 * The best of all offers that count: of an agent that was asked, its first bid, for this auction, for capabilities that it has and that are asked for.
 * Undefined when there is none.
 */
export function awardOf(
  auction: string,
  wanted: string | undefined,
  asked: readonly Asked[],
  received: readonly Received[],
): Award | undefined {
  const counted = countedBids(auction, asked, received);
  const offers = [...counted].flatMap(([agentId, bid]) => offersOf(agentId, bid, wanted, asked));
  const highest = offers.reduce((most, { usd }) => Math.max(most, usd), 0);
  const scored = offers
    .map((offer): Offer => ({ ...offer, score: scoreOf(offer, highest) }))
    .toSorted((one, other) => compare(auction, one, other));
  const [best] = scored;
  if (best === undefined) return undefined;
  return {
    agentId: best.agentId,
    capability: best.capability,
    score: best.score,
    offers: scored.slice(0, OFFERS_KEPT),
    asked: asked.map(({ agentId }) => agentId),
    silent: asked.filter(({ agentId }) => !counted.has(agentId)).map(({ agentId }) => agentId),
  };
}

function countedBids(
  auction: string,
  asked: readonly Asked[],
  received: readonly Received[],
): ReadonlyMap<string, Bid> {
  const invited = new Set(asked.map(({ agentId }) => agentId));
  const bids = new Map<string, Bid>();
  for (const { agentId, bid } of received)
    if (invited.has(agentId) && bid.auction === auction && !bids.has(agentId)) bids.set(agentId, bid);
  return bids;
}

/** One offer per capability: the first. */
function offersOf(
  agentId: string,
  bid: Bid,
  wanted: string | undefined,
  asked: readonly Asked[],
): Omit<Offer, 'score'>[] {
  const own = new Set(asked.find((agent) => agent.agentId === agentId)?.capabilities);
  const offers = new Map<string, Omit<Offer, 'score'>>();
  for (const { capability, confidence, usd } of bid.offers) {
    if (!own.has(capability) || (wanted !== undefined && capability !== wanted) || offers.has(capability)) continue;
    offers.set(capability, { agentId, capability, confidence, usd, load: bid.load });
  }
  return [...offers.values()];
}

function scoreOf({ confidence, usd, load }: Omit<Offer, 'score'>, highest: number): number {
  const dear = highest === 0 ? 0 : usd / highest;
  const score = confidence * (1 - BUSY_SHARE * busy(load)) * (1 - DEAR_SHARE * dear);
  return Math.round(score * PRECISION) / PRECISION;
}

/** An agent without slots is as busy as can be. */
function busy({ running, slots }: Offer['load']): number {
  return slots === 0 ? 1 : Math.min(1, running / slots);
}

function compare(auction: string, one: Offer, other: Offer): number {
  if (one.score !== other.score) return other.score - one.score;
  if (one.usd !== other.usd) return one.usd - other.usd;
  const load = busy(one.load) - busy(other.load);
  if (load !== 0) return load;
  const rank = rankOf(auction, one.agentId) - rankOf(auction, other.agentId);
  if (rank !== 0) return rank;
  if (one.agentId !== other.agentId) return one.agentId < other.agentId ? -1 : 1;
  return one.capability < other.capability ? -1 : 1;
}

/** FNV-1a, 32 bits: spreads, and is the same everywhere. */
function rankOf(auction: string, agentId: string): number {
  let hash = 0x811c9dc5;
  for (const character of `${auction}\0${agentId}`) {
    hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193) >>> 0;
  }
  return hash;
}
