/** An agent's answer to an announcement: an offer for each capability that it would use, or none. */
import { fit } from '../../protocol/codec.ts';
import { Announcement, type Bid } from '../../protocol/peer.ts';
import type { Capability } from '../manifest.ts';

/** An agent with the capability that is asked for can do it; how well, it did not say. */
const CONFIDENCE_DEFAULT = 0.5;

/** Of a manifest, what bids. */
interface Biddings {
  readonly capabilities: Readonly<Record<string, Pick<Capability, 'bid'>>>;
}

export interface Bidder {
  readonly manifest: Biddings;
  /** Expected price of one task of a capability, USD. */
  readonly priceOf: (capability: string) => number;
  readonly load: () => Bid['load'];
}

/** Undefined for an announcement that does not fit the protocol. */
export async function bidFor({ manifest, priceOf, load }: Bidder, content: unknown): Promise<Bid | undefined> {
  const announced = fit(Announcement, content);
  if (!announced.ok) return undefined;
  const { auction, capability: wanted } = announced.value;
  const offers: Bid['offers'] = [];
  for (const [capability, { bid }] of Object.entries(manifest.capabilities)) {
    // For a goal that anybody may begin only those bid that say they would.
    if (wanted === undefined ? bid === undefined : capability !== wanted) continue;
    const confidence = typeof bid === 'function' ? await bid(announced.value) : (bid ?? CONFIDENCE_DEFAULT);
    if (confidence === undefined || !(confidence >= 0)) continue;
    offers.push({ capability, confidence: Math.min(1, confidence), usd: priceOf(capability) });
  }
  return { auction, offers, load: load() };
}

/** Capabilities with which the agent would begin a goal that nobody planned; for its presence. */
export function beginsOf({ capabilities }: Biddings): string[] {
  return Object.entries(capabilities).flatMap(([name, { bid }]) => (bid === undefined ? [] : [name]));
}
