/** Who is awarded the work, against a second version that compares every offer with every other, and under bids as bad as anybody can send. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Asked, awardOf, type Received } from '../../shared/core/auction.ts';
import { Award, type Bid } from '../../shared/protocol/peer.ts';

const AGENTS = ['ann', 'bob', 'cid', 'eve'] as const;
const CAPABILITIES = ['research', 'code', 'constructor'] as const;
const RUNS = { numRuns: 3_000 };

const load = fc.record({ running: fc.nat(4), slots: fc.nat(4) });
const offer = fc.record({
  capability: fc.constantFrom(...CAPABILITIES, 'unknown'),
  confidence: fc.constantFrom(0, 0.25, 0.5, 0.75, 1),
  usd: fc.constantFrom(0, 0.001, 0.002),
});
const bid: fc.Arbitrary<Bid> = fc.record({
  auction: fc.constantFrom('g.a1.1', 'g.a1.1', 'g.a1.1', 'g.a1.1', 'g.a1.1', 'another'),
  offers: fc.array(offer, { minLength: 1, maxLength: 4 }),
  load,
});
const received: fc.Arbitrary<Received[]> = fc.array(
  fc.record({ agentId: fc.constantFrom(...AGENTS, 'stranger'), bid }),
  { minLength: 3, maxLength: 10 },
);
const asked: fc.Arbitrary<Asked[]> = fc
  .subarray([...AGENTS], { minLength: 1 })
  .chain((ids) =>
    fc.tuple(
      ...ids.map((agentId) =>
        fc.record({ agentId: fc.constant(agentId), capabilities: fc.subarray([...CAPABILITIES], { minLength: 2 }) }),
      ),
    ),
  );
const wanted = fc.option(fc.constantFrom(...CAPABILITIES), { nil: undefined });
const AUCTION = 'g.a1.1';

/** Every offer that counts, put as directly as it can be said. */
function counting(want: string | undefined, invited: readonly Asked[], came: readonly Received[]) {
  return came.flatMap(({ agentId, bid: said }, index) => {
    const agent = invited.find((each) => each.agentId === agentId);
    const first = came.findIndex((each) => each.agentId === agentId && each.bid.auction === AUCTION) === index;
    if (agent === undefined || !first || said.auction !== AUCTION) return [];
    return said.offers
      .filter((each, at) => said.offers.findIndex(({ capability }) => capability === each.capability) === at)
      .filter(
        ({ capability }) => agent.capabilities.includes(capability) && (want === undefined || capability === want),
      )
      .map((each) => ({
        agentId,
        ...each,
        busy: said.load.slots === 0 ? 1 : Math.min(1, said.load.running / said.load.slots),
      }));
  });
}

describe('an award', () => {
  test('goes to an offer that counts and that no other one beats, and there is none without one', () => {
    let contested = 0;
    fc.assert(
      fc.property(wanted, asked, received, (want, invited, came) => {
        const award = awardOf(AUCTION, want, invited, came);
        const offers = counting(want, invited, came);
        expect(award !== undefined).toBe(offers.length > 0);
        if (award === undefined) return;
        expect(Award.safeParse(award).error).toBeUndefined();
        const highest = Math.max(...offers.map(({ usd }) => usd));
        const scores = offers.map(({ confidence, usd, busy }) => {
          const score = confidence * (1 - busy / 2) * (1 - (highest === 0 ? 0 : usd / highest) / 4);
          return Math.round(score * 1e9) / 1e9;
        });
        const won = offers.findIndex(
          ({ agentId, capability }) => agentId === award.agentId && capability === award.capability,
        );
        expect(scores[won]).toBe(Math.max(...scores));
        const equal = offers.filter((_, index) => scores[index] === scores[won]);
        expect(offers[won]?.usd).toBe(Math.min(...equal.map(({ usd }) => usd)));
        const cheap = equal.filter(({ usd }) => usd === offers[won]?.usd);
        expect(offers[won]?.busy).toBe(Math.min(...cheap.map(({ busy }) => busy)));
        if (offers.length > 1) contested += 1;
        expect(award.offers.map(({ score }) => score)).toEqual(scores.toSorted((a, b) => b - a));
      }),
      RUNS,
    );
    expect(contested).toBeGreaterThan(RUNS.numRuns / 10);
  });

  test('is the same in whatever order the bids of several agents come', () => {
    fc.assert(
      fc.property(wanted, asked, received, fc.infiniteStream(fc.nat()), (want, invited, came, order) => {
        const ranks = new Map(AGENTS.map((agent) => [agent as string, order.next().value ?? 0]));
        // Of one agent the first bid counts, so its own keep their order.
        const shuffled = came.toSorted((one, other) => (ranks.get(one.agentId) ?? 0) - (ranks.get(other.agentId) ?? 0));
        expect(awardOf(AUCTION, want, invited, shuffled)).toEqual(awardOf(AUCTION, want, invited, came));
      }),
      RUNS,
    );
  });

  test('says who was asked, and who of them did not answer', () => {
    fc.assert(
      fc.property(asked, received, (invited, came) => {
        const award = awardOf(AUCTION, undefined, invited, came);
        if (award === undefined) return;
        const answered = new Set(came.filter((each) => each.bid.auction === AUCTION).map(({ agentId }) => agentId));
        expect(award.asked).toEqual(invited.map(({ agentId }) => agentId));
        expect(award.silent).toEqual(award.asked.filter((agentId) => !answered.has(agentId)));
      }),
      RUNS,
    );
  });

  test('among equals does not always go to the same agent', () => {
    const invited = AGENTS.map((agentId) => ({ agentId, capabilities: ['code'] }));
    const winners = new Set(
      Array.from({ length: 60 }, (_, turn) => {
        const auction = `g.a${turn}.1`;
        const offers = [{ capability: 'code', confidence: 0.5, usd: 0 }];
        const came = AGENTS.map((agentId) => ({ agentId, bid: { auction, offers, load: { running: 0, slots: 1 } } }));
        return awardOf(auction, 'code', invited, came)?.agentId;
      }),
    );
    expect(winners).toEqual(new Set(AGENTS));
  });
});
