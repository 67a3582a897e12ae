/** The ledger under any interleaving: what is spent and reserved never exceeds a limit (I4), and nothing is counted twice or forgotten. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  charge,
  close,
  expire,
  type Holder,
  type Limits,
  newLedger,
  reopen,
  reserve,
  settle,
  settleTraffic,
  stop,
} from '../../shared/core/budget.ts';
import { Ledger, type Traffic } from '../../shared/protocol/ledger.ts';

const AGENTS = ['ann', 'bob', 'constructor', 'toString'];
const NANO = 1e9;
/** When every call that says how long it takes has ended. */
const AT = new Date(0).toISOString();
const UNTIL = Date.UTC(2030, 0, 1);

const nano = fc.integer({ min: 0, max: 5_000 });
const limit = fc.option(fc.integer({ min: 0, max: 10_000 }), { nil: undefined });

type Op =
  | { readonly type: 'reserve'; readonly holder: Holder; readonly nano: number; readonly tokens: number }
  /** Of the `pick`-th reservation ever granted, by whoever made it, whatever became of it since: late and repeated ones among them. */
  | { readonly type: 'settle'; readonly pick: number; readonly share: number }
  | { readonly type: 'charge'; readonly messages: number; readonly nano: number; readonly of: string }
  /** An exchange of messages, reserved at its most and settled like a call. */
  | { readonly type: 'exchange'; readonly holder: Holder; readonly messages: number; readonly nano: number }
  /** Somebody finds that these agents are gone, or that the calls of all have run out of time. */
  | { readonly type: 'expire'; readonly gone: readonly string[]; readonly now: number }
  | { readonly type: 'stop' | 'close' | 'reopen' };

const holder = fc
  .record({
    agentId: fc.constantFrom(...AGENTS),
    taskId: fc.constantFrom('t1', 't2'),
    attempt: fc.integer({ min: 1, max: 4 }),
    vote: fc.option(fc.constant(true as const), { nil: undefined }),
  })
  .map(({ vote, ...by }): Holder => (vote === undefined ? by : { ...by, vote }));

function said(messages: number, price: number, of = 'vote'): Traffic {
  return { [of]: { messages, bytes: 100 * messages, usd: price / NANO } };
}
const op: fc.Arbitrary<Op> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ type: fc.constant('reserve' as const), holder, nano, tokens: fc.nat(500) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('settle' as const),
      pick: fc.nat(20),
      // Over 1: an endpoint that takes more than it was allowed to.
      share: fc.integer({ min: 0, max: 250 }).map((percent) => percent / 100),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('charge' as const),
      messages: fc.nat(5),
      nano,
      of: fc.constantFrom('vote', 'bid', 'constructor'),
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('exchange' as const), holder, messages: fc.nat(5), nano }) },
  fc.record({
    type: fc.constant('expire' as const),
    gone: fc.subarray(AGENTS, { maxLength: 2 }),
    now: fc.constantFrom(0, UNTIL + 1),
  }),
  fc.record({ type: fc.constantFrom('stop' as const, 'close' as const, 'reopen' as const, 'reopen' as const) }),
);

const limits: fc.Arbitrary<Limits> = fc
  .record({ usd: limit, tokens: limit, messages: fc.option(fc.nat(20), { nil: undefined }) })
  .map(({ usd, tokens, messages }) => ({
    ...(usd === undefined ? {} : { usd: usd / NANO }),
    ...(tokens === undefined ? {} : { tokens }),
    ...(messages === undefined ? {} : { messages }),
  }));

interface Reserved {
  readonly id: string;
  readonly holder: Holder;
  readonly nano: number;
  readonly tokens: number;
  /** Of an exchange. */
  readonly messages?: number;
}

interface Run {
  readonly ledgers: Ledger[];
  readonly refused: number;
  readonly granted: readonly Reserved[];
}

/** What the endpoint takes for a call: a share of its worst case that the call itself decides, or the given one. */
function billOf(call: Reserved, share = (call.nano % 101) / 100): { usd: number; tokens: number } {
  return { usd: Math.floor(call.nano * share) / NANO, tokens: Math.floor(call.tokens * share) };
}

/** `honest`: each call is settled with what its endpoint took, and that is within its worst case. */
function play(start: Limits, ops: readonly Op[], honest = false): Run {
  const granted: Reserved[] = [];
  const ledgers = [newLedger(start)];
  let refused = 0;
  const last = (): Ledger => ledgers.at(-1) ?? newLedger(start);
  for (const [index, each] of ops.entries()) {
    if (each.type === 'reserve') {
      const wanted = { id: `call-${index}`, holder: each.holder, nano: each.nano, tokens: each.tokens };
      const until = index % 2 === 0 ? {} : { until: new Date(UNTIL).toISOString() };
      const answer = reserve(last(), wanted.id, each.holder, { usd: each.nano / NANO, tokens: each.tokens, ...until });
      if (answer.ok) granted.push(wanted);
      else refused += 1;
      ledgers.push(answer.ledger);
    } else if (each.type === 'settle') {
      const of = granted[each.pick];
      if (of === undefined) continue;
      if (of.messages !== undefined) {
        const spoken = said(
          Math.floor(of.messages * Math.min(1, each.share)),
          Math.floor(of.nano * Math.min(1, each.share)),
        );
        ledgers.push(settleTraffic(last(), of.id, spoken));
        continue;
      }
      ledgers.push(settle(last(), of.id, of.holder, billOf(of, honest ? undefined : each.share)));
    } else if (each.type === 'exchange') {
      const wanted = { id: `talk-${index}`, holder: each.holder, nano: each.nano, tokens: 0, messages: each.messages };
      const traffic = said(each.messages, each.nano);
      const answer = reserve(last(), wanted.id, each.holder, { usd: 0, tokens: 0, traffic });
      if (answer.ok) granted.push(wanted);
      else refused += 1;
      ledgers.push(answer.ledger);
    } else if (each.type === 'charge') {
      const answer = charge(last(), said(each.messages, each.nano, each.of));
      if (!answer.ok) refused += 1;
      ledgers.push(answer.ledger);
    } else if (each.type === 'expire') {
      ledgers.push(expire(last(), (agentId) => !each.gone.includes(agentId), each.now));
    } else ledgers.push({ stop, reopen, close: (ledger: Ledger) => close(ledger, AT) }[each.type](last()));
  }
  return { ledgers, refused, granted };
}

/** Spent and reserved, in whole nano-dollars and tokens. */
function committed(ledger: Ledger): { nano: number; tokens: number; messages: number } {
  const held = Object.values(ledger.reserved);
  const usd = ledger.spent.usd + ledger.spent.communicationUsd + held.reduce((sum, each) => sum + each.usd, 0);
  return {
    nano: Math.round(usd * NANO),
    tokens: ledger.spent.tokens + held.reduce((sum, each) => sum + each.tokens, 0),
    messages: held.reduce((sum, { traffic }) => sum + messagesIn(traffic), ledger.spent.messages),
  };
}

function messagesIn(traffic: Traffic | undefined): number {
  return Object.values(traffic ?? {}).reduce((sum, each) => sum + each.messages, 0);
}

const run = fc.tuple(limits, fc.array(op, { maxLength: 40 }));
const RUNS = { numRuns: 2_000 };

describe('a ledger', () => {
  test('never commits more than its limits, whoever reserves, settles late or twice, dies, charges or closes (I4)', () => {
    let refusals = 0;
    fc.assert(
      fc.property(run, ([start, ops]) => {
        const { ledgers, refused } = play(start, ops);
        refusals += refused;
        for (const ledger of ledgers) {
          const sum = committed(ledger);
          if (start.usd !== undefined) expect(sum.nano).toBeLessThanOrEqual(Math.round(start.usd * NANO));
          if (start.tokens !== undefined) expect(sum.tokens).toBeLessThanOrEqual(start.tokens);
          if (start.messages !== undefined) expect(sum.messages).toBeLessThanOrEqual(start.messages);
        }
      }),
      RUNS,
    );
    expect(refusals).toBeGreaterThan(1_000);
  });

  test('never forgets: what was committed for a call stays until its own settlement, and spending never shrinks', () => {
    fc.assert(
      fc.property(run, ([start, ops]) => {
        const { ledgers } = play(start, ops);
        for (const [index, ledger] of ledgers.slice(1).entries()) {
          const before = ledgers[index];
          if (before === undefined) continue;
          expect(ledger.spent.usd).toBeGreaterThanOrEqual(before.spent.usd);
          expect(ledger.spent.tokens).toBeGreaterThanOrEqual(before.spent.tokens);
          expect(ledger.spent.messages).toBeGreaterThanOrEqual(before.spent.messages);
        }
      }),
      RUNS,
    );
  });

  test('covers what honest endpoints took for every call that was ever granted, whoever died in the middle of it (I4)', () => {
    fc.assert(
      fc.property(run, ([start, ops]) => {
        const { ledgers, granted } = play(start, ops, true);
        const { spent, lost } = close(ledgers.at(-1) ?? newLedger(start), AT);
        const bills = granted.filter(({ messages }) => messages === undefined).map((call) => billOf(call));
        const nanos = bills.reduce((sum, { usd }) => sum + Math.round(usd * NANO), 0);
        const tokens = bills.reduce((sum, bill) => sum + bill.tokens, 0);
        expect(Math.round(spent.usd * NANO)).toBeGreaterThanOrEqual(nanos);
        expect(spent.tokens).toBeGreaterThanOrEqual(tokens);
        expect(nanos).toBeLessThanOrEqual(Math.round((start.usd ?? Infinity) * NANO));
        expect(tokens).toBeLessThanOrEqual(start.tokens ?? Infinity);
        // What is spent beyond the bills is what was reserved for calls of the lost.
        expect(Math.round(spent.usd * NANO) - nanos).toBeLessThanOrEqual(Math.round((lost?.usd ?? 0) * NANO));
      }),
      RUNS,
    );
  });

  test('says apart what an endpoint took beyond the limits', () => {
    fc.assert(
      fc.property(fc.nat(1_000), fc.nat(1_000), fc.nat(5_000), (worst, free, took) => {
        const by = { agentId: 'ann', taskId: 't', attempt: 1 };
        const granted = reserve(newLedger({ usd: (worst + free) / NANO }), 'c', by, { usd: worst / NANO, tokens: 1 });
        const { spent, beyond } = settle(granted.ledger, 'c', by, { usd: took / NANO, tokens: 1 });
        expect(Math.round(spent.usd * NANO)).toBe(Math.min(took, worst + free));
        expect(Math.round((beyond?.usd ?? 0) * NANO)).toBe(Math.max(0, took - worst - free));
      }),
    );
  });

  test('grants nothing once its goal is stopped, but still settles what was granted', () => {
    fc.assert(
      fc.property(run, holder, ([start, ops], by) => {
        const stopped = stop(reopen(play(start, ops).ledgers.at(-1) ?? newLedger(start)));
        expect(reserve(stopped, 'new', by, { usd: 0, tokens: 0 })).toMatchObject({ ok: false, limit: 'ended' });
        expect(charge(stopped, said(0, 0))).toMatchObject({ ok: false, limit: 'ended' });
        const [id, held] = Object.entries(stopped.reserved).find(([, { traffic }]) => traffic === undefined) ?? [];
        const settled = id === undefined || held === undefined ? stopped : settle(stopped, id, held, held);
        expect(Object.keys(settled.reserved)).toHaveLength(
          Object.keys(stopped.reserved).length - (id === undefined ? 0 : 1),
        );
        const closed = close(settled, AT);
        expect(settle(closed, id ?? 'c', by, { usd: 1, tokens: 1 })).toBe(closed);
      }),
      RUNS,
    );
  });

  test('survives being written and read, whatever its agents are called, and says of each what it spent', () => {
    fc.assert(
      fc.property(run, ([start, ops]) => {
        for (const ledger of play(start, ops).ledgers) {
          const read = Ledger.parse(JSON.parse(JSON.stringify(ledger)));
          expect(Object.entries(read.byAgent)).toEqual(Object.entries(ledger.byAgent));
          expect(committed(read)).toEqual(committed(ledger));
          const sum = Object.values(read.byAgent).reduce((total, each) => total + each, 0);
          expect(Math.round(sum * NANO)).toBe(Math.round(read.spent.usd * NANO));
          expect(Math.round((read.votesUsd ?? 0) * NANO)).toBeLessThanOrEqual(Math.round(sum * NANO));
          const types = Object.values(read.byType ?? {});
          expect(types.reduce((total, each) => total + Math.round(each.usd * NANO), 0)).toBe(
            Math.round(read.spent.communicationUsd * NANO),
          );
          expect(messagesIn(read.byType)).toBe(read.spent.messages);
        }
      }),
      RUNS,
    );
  });

  test('refuses only what would exceed a limit, and a refusal changes nothing', () => {
    fc.assert(
      fc.property(run, holder, nano, fc.nat(500), ([start, ops], by, worst, tokens) => {
        const ledger = play(start, ops).ledgers.at(-1) ?? newLedger(start);
        const frozen = JSON.stringify(ledger);
        const talks = tokens % 2 === 1 ? { traffic: said(tokens % 7, worst) } : {};
        const answer = reserve(ledger, 'new', by, { usd: worst / NANO, tokens, ...talks });
        expect(JSON.stringify(ledger)).toBe(frozen);
        if (answer.ok) return;
        const sum = committed(ledger);
        const over = {
          usd: sum.nano + worst * ('traffic' in talks ? 2 : 1) > Math.round((start.usd ?? Infinity) * NANO),
          tokens: sum.tokens + tokens > (start.tokens ?? Infinity),
          messages: sum.messages + messagesIn(talks.traffic) > (start.messages ?? Infinity),
          ended: ledger.state !== undefined,
        };
        expect(over[answer.limit]).toBe(true);
      }),
      RUNS,
    );
  });

  test('holds nothing back once it is closed', () => {
    fc.assert(
      fc.property(run, ([start, ops]) => {
        const ledger = play(start, ops).ledgers.at(-1) ?? newLedger(start);
        const closed = close(ledger, AT);
        expect(closed.reserved).toEqual({});
        expect(committed(closed)).toEqual(committed(ledger));
      }),
      RUNS,
    );
  });
});
