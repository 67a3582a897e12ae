/** Running figures and predictions, each against a dumb second version. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { communicationCost, toNano } from '../../shared/core/cost.ts';
import {
  addFigures,
  expectedTokens,
  expectedVotes,
  hasSeen,
  nothingSeen,
  type Observed,
  seeBallot,
  seeTask,
  seeVotes,
  usedBy,
} from '../../shared/core/figures.ts';
import { predictor } from '../../shared/core/prediction.ts';
import type { Presence } from '../../shared/protocol/agent.ts';
import { Figures } from '../../shared/protocol/figures.ts';

const MODELS = ['small', 'large', 'constructor'];
const tokens = fc.record({ inputTokens: fc.nat(50_000), outputTokens: fc.nat(50_000) });
const model = fc.constantFrom(...MODELS);

describe('running figures', () => {
  it('expect the mean of what was seen and of the seed, exactly, as long as nothing has faded', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(model, tokens), { maxLength: 250 }), tokens, (all, seed) => {
        const seen = all.reduce((sum, [of, used]) => seeTask(sum, of, used), nothingSeen('c'));
        for (const of of MODELS) {
          const own = all.filter(([name]) => name === of).map(([, used]) => used);
          const mean = (field: 'inputTokens' | 'outputTokens'): number =>
            Math.round([seed, ...own].reduce((sum, used) => sum + used[field], 0) / (own.length + 1));
          const expected = { inputTokens: mean('inputTokens'), outputTokens: mean('outputTokens') };
          expect(expectedTokens(usedBy(seen.tasks, of), seed)).toEqual(expected);
        }
        expect(hasSeen(seen)).toBe(all.length > 0);
      }),
    );
  });

  it('are the same whoever adds his first, and fit what is stored', () => {
    const one = fc.array(fc.tuple(fc.nat(2), model, tokens), { maxLength: 60 }).map((all) =>
      all.reduce<Observed>((sum, [kind, of, used]) => {
        if (kind === 0) return seeTask(sum, of, used);
        if (kind === 1) return seeBallot(sum, of, used);
        return seeVotes(sum, { rounds: 1, messages: used.inputTokens, bytes: used.outputTokens });
      }, nothingSeen('c')),
    );
    fc.assert(
      fc.property(one, one, one, (a, b, c) => {
        const left = addFigures(addFigures(a, b), c);
        const right = addFigures(c, addFigures(b, a));
        expect({ ...right, tasks: sorted(right.tasks), ballots: sorted(right.ballots) }).toEqual({
          ...left,
          tasks: sorted(left.tasks),
          ballots: sorted(left.ballots),
        });
        expect(Figures.parse(JSON.parse(JSON.stringify({ ...left, by: 'ann' })))).toEqual({ ...left, by: 'ann' });
      }),
    );
  });

  it('follow a change within a few hundred tasks, however long the past was, and stay between the least and the most seen', () => {
    const feed = (from: Observed, used: number, times: number): Observed => {
      let sum = from;
      for (let time = 0; time < times; time += 1) sum = seeTask(sum, 'small', { inputTokens: used, outputTokens: 0 });
      return sum;
    };
    const seed = { inputTokens: 100, outputTokens: 0 };
    const past = feed(nothingSeen('c'), 100, 10_000);
    const now = feed(past, 1_000, 1_000);
    expect(expectedTokens(usedBy(past.tasks, 'small'), seed).inputTokens).toBe(100);
    expect(expectedTokens(usedBy(now.tasks, 'small'), seed).inputTokens).toBeGreaterThan(950);
    expect(expectedTokens(usedBy(now.tasks, 'small'), seed).inputTokens).toBeLessThanOrEqual(1_000);
    expect(usedBy(now.tasks, 'small')?.count).toBeLessThanOrEqual(256);
  });

  it('keep no more models than they should', () => {
    let seen = nothingSeen('c');
    for (let nth = 0; nth < 1_000; nth += 1) seen = seeTask(seen, `model-${nth}`, { inputTokens: 1, outputTokens: 1 });
    expect(Object.keys(seen.tasks).length).toBe(16);
  });

  it('expect one round of a vote until they have seen others', () => {
    const seed = { rounds: 1, bytes: 2_000 };
    expect(expectedVotes(undefined, seed)).toEqual(seed);
    let seen = nothingSeen('review');
    for (let task = 0; task < 3; task += 1) seen = seeVotes(seen, { rounds: 2, messages: 8, bytes: 8 * 500 });
    expect(expectedVotes(seen.voted, seed)).toEqual({ rounds: 7 / 4, bytes: Math.round((24 * 500 + 2_000) / 25) });
  });
});

function sorted<T>(by: Readonly<Record<string, T>>): [string, T][] {
  return Object.entries(by).toSorted(([one], [other]) => (one < other ? -1 : 1));
}

const CAPABILITIES = ['research', 'code', 'review', 'constructor'];
const nano = fc.integer({ min: 0, max: 1_000_000 }).map((whole) => whole / 1e9);
const agent: fc.Arbitrary<Presence> = fc
  .record({
    capabilities: fc.subarray(CAPABILITIES),
    slots: fc.nat(8),
    usd: nano,
    silent: fc.boolean(),
    opinion: fc.option(fc.record({ usd: nano, rounds: fc.constantFrom(1, 1.5, 2), bytes: fc.nat(5_000) })),
  })
  .map(({ capabilities, slots, usd, silent, opinion }) => ({
    agentId: 'a',
    role: 'r',
    capabilities,
    startedAt: '2030-01-01T00:00:00.000Z',
    version: '1',
    load: { running: 0, slots },
    ...(silent ? {} : { estimates: Object.fromEntries(capabilities.map((name) => [name, usd])) }),
    ...(opinion === null ? {} : { opinions: Object.fromEntries(capabilities.map((name) => [name, opinion])) }),
  }));
const spec = fc
  .record({
    capability: fc.constantFrom(...CAPABILITIES, 'nobody'),
    vote: fc.option(
      fc.record({ capability: fc.constantFrom(...CAPABILITIES), voters: fc.option(fc.integer({ min: 1, max: 5 })) }),
    ),
  })
  .map(({ capability, vote }) => ({
    capability,
    ...(vote === null
      ? {}
      : {
          vote: {
            capability: vote.capability,
            ...(vote.voters === null ? {} : { voters: vote.voters }),
            rule: { method: 'majority' as const },
            onReject: 'fail' as const,
          },
        }),
  }));
type Spec = typeof spec extends fc.Arbitrary<infer S> ? S : never;
const PRICE = { usdPerMessage: 0.000001, usdPerKiB: 0.0000001 };

/** The same, one task at a time, by the definition. In nano-dollars. */
function dumb(agents: readonly Presence[], { capability, vote }: Spec, cheapest: boolean): number {
  const price = (each: Presence): number =>
    Object.entries(each.estimates ?? {}).find(([name]) => name === capability)?.[1] ?? 0;
  const able = agents.filter((each) => each.capabilities.includes(capability));
  const slots = able.reduce((sum, each) => sum + each.load.slots, 0);
  let work = 0;
  if (able.length > 0 && cheapest) work = Math.min(...able.map(price));
  else if (able.length > 0 && slots === 0) work = able.reduce((sum, each) => sum + price(each), 0) / able.length;
  else if (able.length > 0) work = able.reduce((sum, each) => sum + price(each) * each.load.slots, 0) / slots;
  if (vote === undefined) return Math.round(work * 1e9);
  const voters = agents.filter((each) => each.capabilities.includes(vote.capability));
  const said = voters.flatMap((each) => (each.opinions === undefined ? [] : Object.values(each.opinions).slice(0, 1)));
  if (said.length === 0) return Math.round(work * 1e9);
  const mean = (field: 'usd' | 'rounds' | 'bytes'): number =>
    said.reduce((sum, each) => sum + each[field], 0) / said.length;
  const asked = Math.min(vote.voters ?? voters.length, voters.length);
  const talk = communicationCost(PRICE, { messages: asked + 1, bytes: Math.round((asked + 1) * mean('bytes')) });
  return Math.round(work * 1e9) + Math.round(mean('rounds') * (asked * Math.round(mean('usd') * 1e9) + talk));
}

describe('a prediction', () => {
  it('is the sum over tasks and their votes, of the mean price or of the least', () => {
    fc.assert(
      fc.property(fc.array(agent, { maxLength: 6 }), fc.array(spec, { maxLength: 12 }), (agents, specs) => {
        const predict = predictor(agents, PRICE);
        for (const assign of ['any', 'cheapest'] as const) {
          const expected = specs.reduce((sum, each) => sum + dumb(agents, each, assign === 'cheapest'), 0);
          expect(Math.abs(toNano(predict(specs, assign)) - expected)).toBeLessThanOrEqual(specs.length);
        }
        expect(predict(specs, 'cheapest')).toBeLessThanOrEqual(predict(specs, 'any'));
      }),
      { numRuns: 500 },
    );
  });

  it('of a graph in parts is that of the parts together, to the nano-dollar', () => {
    fc.assert(
      fc.property(fc.array(agent, { maxLength: 6 }), fc.array(spec), fc.array(spec), (agents, one, other) => {
        const predict = predictor(agents, PRICE);
        const parts = toNano(predict(one, 'any')) + toNano(predict(other, 'any'));
        expect(toNano(predict([...one, ...other], 'any'))).toBe(parts);
      }),
    );
  });

  it('of work that nobody offers is nothing', () => {
    expect(predictor([], PRICE)([{ capability: 'research' }], 'any')).toBe(0);
    expect(predictor([], PRICE)([{ capability: 'research' }], 'cheapest')).toBe(0);
  });
});
