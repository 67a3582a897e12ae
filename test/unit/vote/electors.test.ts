/** Voters that do not answer are left out for a while; who is asked instead, and when they come back. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createBreakers } from '../../../shared/adapters/breakers.ts';
import type { BreakerState } from '../../../shared/adapters/resilience.ts';
import type { Presence } from '../../../shared/protocol/agent.ts';
import type { VoteRule } from '../../../shared/protocol/vote.ts';
import { type Breakers, watchedElectors } from '../../../shared/runtime/vote/electors.ts';
import { votersOf } from '../../../shared/runtime/voters.ts';
import { presence } from '../cli/records.ts';

const OPTIONS = { failures: 3, openMs: 10_000, openMsMax: 40_000, trialMsMax: 120_000 };

beforeEach(() => void vi.useFakeTimers({ now: Date.UTC(2030, 0, 1) }));
afterEach(() => void vi.useRealTimers());

function watched() {
  const states = new Map<string, BreakerState>();
  const breakers = createBreakers(OPTIONS, {
    breakerState: (name, state) => void states.set(name, state),
    breakerGone: (name) => void states.delete(name),
  });
  return { breakers, states };
}

const passed = async (ms: number) => void (await vi.advanceTimersByTimeAsync(ms));
const settled = () => passed(0);

describe('a breaker of a target that is watched', () => {
  async function opened() {
    const all = watched();
    for (let times = 0; times < OPTIONS.failures; times += 1) all.breakers.ended('x', 'badly');
    await settled();
    return all;
  }

  it('does not exist before something bad is told, and opens after so many bad ends in a row', async () => {
    const { breakers, states } = watched();
    breakers.ended('x', 'well');
    breakers.ended('x', 'cut');
    expect(states.size).toBe(0);
    for (const how of ['badly', 'badly', 'well', 'badly', 'cut', 'badly'] as const) {
      breakers.ended('x', how);
      await settled();
      expect([states.get('x') ?? 0, breakers.admits('x')]).toEqual([0, true]);
    }
    breakers.ended('x', 'badly');
    await settled();
    expect([states.get('x'), breakers.admits('x')]).toEqual([2, false]);
    expect(breakers.admits('y')).toBe(true);
  });

  it('admits one trial at a time when its time has come, until one is conclusive', async () => {
    const { breakers, states } = await opened();
    await passed(OPTIONS.openMs - 1);
    expect(breakers.admits('x')).toBe(false);
    await passed(1);
    expect([breakers.admits('x'), breakers.admits('x'), states.get('x')]).toEqual([true, false, 1]);
    breakers.ended('x', 'cut');
    expect([breakers.admits('x'), breakers.admits('x'), states.get('x')]).toEqual([true, false, 1]);
    breakers.ended('x', 'well');
    await settled();
    expect([breakers.admits('x'), breakers.admits('x'), states.get('x')]).toEqual([true, true, 0]);
  });

  it('opens again when a trial ends badly, for twice as long, up to a limit', async () => {
    const { breakers, states } = await opened();
    for (const openMs of [10_000, 20_000, 40_000, 40_000]) {
      await passed(openMs - 1);
      expect(breakers.admits('x'), `${openMs}`).toBe(false);
      await passed(1);
      expect(breakers.admits('x'), `${openMs}`).toBe(true);
      breakers.ended('x', 'badly');
      await settled();
      expect(states.get('x')).toBe(2);
    }
  });

  it('takes a trial of which nothing is heard for cut', async () => {
    const { breakers } = await opened();
    await passed(OPTIONS.openMs);
    expect([breakers.admits('x'), breakers.admits('x')]).toEqual([true, false]);
    await passed(OPTIONS.trialMsMax);
    expect([breakers.admits('x'), breakers.admits('x')]).toEqual([true, false]);
  });

  it('hears what others say while it is open, without a word', async () => {
    const { breakers, states } = await opened();
    breakers.ended('x', 'badly');
    breakers.ended('x', 'well');
    await settled();
    expect(states.get('x')).toBe(2);
  });

  it('is forgotten, and begins anew', async () => {
    const { breakers, states } = await opened();
    breakers.forget('x');
    breakers.forget('y');
    expect([states.size, breakers.admits('x')]).toEqual([0, true]);
  });
});

describe('electors', () => {
  const MAJORITY: VoteRule = { method: 'majority' };
  const voters = (...ids: string[]): Presence[] =>
    ids.map((agentId) => presence({ agentId, capabilities: ['review'] }));
  const five = voters('a', 'b', 'c', 'd', 'e');
  const ids = (chosen: readonly Presence[]) => chosen.map(({ agentId }) => agentId).join('');

  /** Breakers that say no to these. */
  function shut(...out: string[]) {
    const told: string[] = [];
    const breakers: Breakers = {
      admits: (name) => !out.includes(name.replace('voter:', '')),
      ended: (name, how) => void told.push(`${name} ${how}`),
      forget: (name) => void told.push(`${name} forgotten`),
    };
    const electors = watchedElectors(breakers);
    electors.heard(ended({ silent: out }));
    return { electors, told };
  }
  const ended = (event: { answered?: string[]; silent?: string[]; unheard?: string[] }) => ({
    roundId: 'r',
    correlationId: 'c',
    answered: [],
    silent: [],
    unheard: [],
    ...event,
  });

  it('leave out who is out, and take others in its place', () => {
    expect(ids(shut('b').electors.choose(five, MAJORITY, undefined))).toBe('acde');
    expect(ids(shut('b').electors.choose(five, MAJORITY, 3))).toBe('acd');
    expect(ids(shut().electors.choose(five, MAJORITY, 3))).toBe('abc');
  });

  it.each<[string, readonly string[], VoteRule, number | undefined, string]>([
    ['the majority of all, without a quorum', ['b', 'c', 'd', 'e'], MAJORITY, undefined, 'abc'],
    ['a quorum of one', ['b', 'c', 'd', 'e'], { method: 'majority', quorum: 1 }, undefined, 'a'],
    ['a quorum of all', ['b', 'e'], { method: 'majority', quorum: 5 }, undefined, 'acdbe'],
    ['a lead of four', ['b', 'c', 'd'], { method: 'ahead-by-k', k: 4, quorum: 1 }, undefined, 'aebc'],
    ['one voter, when all are out', ['a', 'b', 'c', 'd', 'e'], { method: 'majority', quorum: 1 }, undefined, 'a'],
    ['the majority of as many as the task wants', ['a', 'b', 'c', 'd'], MAJORITY, 3, 'ea'],
    ['no more than there are', ['a', 'b'], { method: 'majority', quorum: 9 }, undefined, 'cdeab'],
  ])('fill a roster up to %s', (_what, out, rule, wanted, chosen) => {
    expect(ids(shut(...out).electors.choose(five, rule, wanted))).toBe(chosen);
  });

  it('choose nobody where nobody is', () => {
    expect(shut('a').electors.choose([], MAJORITY, undefined)).toEqual([]);
    expect(shut('a').electors.choose([], MAJORITY, 3)).toEqual([]);
  });

  it('tell the breakers of those that were silent once, and of nobody else', () => {
    const { electors, told } = shut('a');
    electors.heard(ended({ answered: ['a', 'b'], silent: ['c'], unheard: ['d', 'c'] }));
    expect(told).toEqual(['voter:a badly', 'voter:c badly', 'voter:a well', 'voter:c cut']);
  });

  it('watch a hundred voters and no more, until some are gone', () => {
    const { electors, told } = shut();
    const crowd = Array.from({ length: 150 }, (_, index) => `v${index}`);
    electors.heard(ended({ silent: crowd }));
    expect(told).toHaveLength(100);
    electors.present([]);
    electors.heard(ended({ silent: ['v149'] }));
    expect(told.at(-1)).toBe('voter:v149 badly');
  });

  it('forget who is gone, and who was started again', () => {
    const { electors, told } = shut('a', 'b', 'c');
    electors.choose(five, MAJORITY, undefined);
    electors.present(five.slice(1));
    electors.choose([presence({ agentId: 'b', startedAt: '2031-01-01T00:00:00.000Z' })], MAJORITY, undefined);
    expect(told.slice(3)).toEqual(['voter:a forgotten', 'voter:b forgotten']);
  });

  it('never load a breaker while everybody answers', async () => {
    let loads = 0;
    const { electors: _, told } = shut();
    const voting = votersOf(() => {
      loads += 1;
      return Promise.resolve({
        admits: () => false,
        ended: (name) => void told.push(name),
        forget: (name) => void told.push(`${name} gone`),
      });
    });
    voting.heard(ended({ answered: ['a'], unheard: ['b'] }));
    expect([loads, ids(voting.choose(five, MAJORITY, undefined))]).toEqual([0, 'abcde']);
    voting.heard(ended({ silent: ['a'] }));
    voting.heard(ended({ silent: ['b'] }));
    await settled();
    expect([loads, told, ids(voting.choose(five, MAJORITY, undefined))]).toEqual([1, ['voter:a', 'voter:b'], 'cde']);
    await voting.watching({ list: () => Promise.resolve(voters('b')) }).list();
    expect(told.at(-1)).toBe('voter:a gone');
  });
});
