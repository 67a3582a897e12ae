import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Registry } from '../../shared/ports.ts';
import type { Presence } from '../../shared/protocol/agent.ts';
import { learnOffers } from '../../shared/runtime/offers.ts';
import { presence } from './cli/records.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const COSTS_NOTHING = { usdPerMessage: 0, usdPerKiB: 0 };
const coder = (n: number): Presence =>
  presence({ agentId: `coder-${n}`, capabilities: ['code'], estimates: { code: 0.01 } });

function watched(): { registry: Registry; agents: Presence[]; looks: () => number } {
  const agents: Presence[] = [];
  let looks = 0;
  const list = (): Promise<readonly Presence[]> => {
    looks += 1;
    return Promise.resolve([...agents]);
  };
  return { registry: { list }, agents, looks: () => looks };
}

it('knows within a second of agents that start after it, and looks less often once nobody comes', async () => {
  const { registry, agents, looks } = watched();
  const offers = learnOffers(registry, COSTS_NOTHING);
  await vi.advanceTimersByTimeAsync(0);
  expect(offers.predict([{ capability: 'code' }], 'any')).toBe(0);
  for (let n = 1; n <= 6; n += 1) {
    agents.push(coder(n));
    await vi.advanceTimersByTimeAsync(1_000);
    expect(offers.predict([{ capability: 'code' }], 'any')).toBe(0.01);
  }
  await vi.advanceTimersByTimeAsync(10_000);
  const before = looks();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(looks() - before).toBe(12);
  offers.stop();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(looks() - before).toBe(12);
});

it('looks the less often the more agents there are, also while they start, and goes on when it sees nothing', async () => {
  const { registry, agents, looks } = watched();
  for (let n = 0; n < 200; n += 1) agents.push(coder(n));
  const offers = learnOffers(registry, COSTS_NOTHING);
  await vi.advanceTimersByTimeAsync(5_999);
  expect(looks()).toBe(1);
  vi.spyOn(registry, 'list').mockRejectedValueOnce(new Error('no answer'));
  await vi.advanceTimersByTimeAsync(12_001);
  expect(looks()).toBe(3);
  expect(offers.predict([{ capability: 'code' }], 'any')).toBe(0.01);
  offers.stop();
});
