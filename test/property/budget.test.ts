/** The ledger under any interleaving: what is spent and reserved never exceeds a limit (I4), and nothing is counted twice or forgotten. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  abandon,
  charge,
  close,
  type Holder,
  type Limits,
  newLedger,
  reserve,
  settle,
  settleTraffic,
} from '../../shared/core/budget.ts';
import { Ledger, type Traffic } from '../../shared/protocol/ledger.ts';

const AGENTS = ['ann', 'bob', 'constructor', 'toString'];
const NANO = 1e9;

const nano = fc.integer({ min: 0, max: 5_000 });
const limit = fc.option(fc.integer({ min: 0, max: 10_000 }), { nil: undefined });

type Op =
  | { readonly type: 'reserve'; readonly holder: Holder; readonly nano: number; readonly tokens: number }
  /** Of the `pick`-th reservation ever granted, by whoever made it, whatever became of it since: late and repeated ones among them. */
  | { readonly type: 'settle'; readonly pick: number; readonly share: number }
  | { readonly type: 'charge'; readonly messages: number; readonly nano: number; readonly of: string }
  /** An exchange of messages, reserved at its most and settled like a call. */
  | { readonly type: 'exchange'; readonly holder: Holder; readonly messages: number; readonly nano: number }
  | { readonly type: 'abandon'; readonly holder: Holder }
  | { readonly type: 'close' };

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
      share: fc.integer({ min: 0, max: 100 }).map((percent) => percent / 100),
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
  fc.record({ type: fc.constant('abandon' as const), holder }),
  fc.record({ type: fc.constant('close' as const) }),
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

function play(start: Limits, ops: readonly Op[]): Run {
  const granted: Reserved[] = [];
  const ledgers = [newLedger(start)];
  let refused = 0;
  const last = (): Ledger => ledgers.at(-1) ?? newLedger(start);
  for (const [index, each] of ops.entries()) {
    if (each.type === 'reserve') {
      const wanted = { id: `call-${index}`, holder: each.holder, nano: each.nano, tokens: each.tokens };
      const answer = reserve(last(), wanted.id, each.holder, { usd: each.nano / NANO, tokens: each.tokens });
      if (answer.ok) granted.push(wanted);
      else refused += 1;
      if (answer.ok) ledgers.push(answer.ledger);
    } else if (each.type === 'settle') {
      const of = granted[each.pick];
      if (of === undefined) continue;
      if (of.messages !== undefined) {
        const spoken = said(Math.floor(of.messages * each.share), Math.floor(of.nano * each.share));
        ledgers.push(settleTraffic(last(), of.id, spoken));
        continue;
      }
      const actual = { usd: Math.floor(of.nano * each.share) / NANO, tokens: Math.floor(of.tokens * each.share) };
      ledgers.push(settle(last(), of.id, of.holder, actual));
    } else if (each.type === 'exchange') {
      const wanted = { id: `talk-${index}`, holder: each.holder, nano: each.nano, tokens: 0, messages: each.messages };
      const traffic = said(each.messages, each.nano);
      const answer = reserve(last(), wanted.id, each.holder, { usd: 0, tokens: 0, traffic });
      if (answer.ok) granted.push(wanted);
      else refused += 1;
      if (answer.ok) ledgers.push(answer.ledger);
    } else if (each.type === 'charge') {
      const answer = charge(last(), said(each.messages, each.nano, each.of));
      if (answer.ok) ledgers.push(answer.ledger);
      else refused += 1;
    } else ledgers.push(each.type === 'abandon' ? abandon(last(), each.holder) : close(last()));
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
        const closed = close(ledger);
        expect(closed.reserved).toEqual({});
        expect(committed(closed)).toEqual(committed(ledger));
      }),
      RUNS,
    );
  });
});
