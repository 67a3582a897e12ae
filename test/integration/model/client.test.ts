import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { Fault } from '../../../services/model/faults.ts';
import type { Stats } from '../../../services/model/metrics.ts';
import { waitUntil } from '../../support/wait.ts';
import { STORM } from '../../unit/model/sample.ts';
import { recordingGate } from '../../unit/model/spend-gate.ts';
import { type ModelProcess, startModel } from './model-process.ts';
import { offlineClient, requestOf } from './offline-client.ts';

let endpoint: ModelProcess;
beforeAll(async () => {
  endpoint = await startModel();
  // The first call loads client library and tokenizer; no timeout below should have to allow for that.
  await offlineClient(endpoint.baseUrl).complete(requestOf(FACTS));
});
afterAll(() => endpoint.stop());

const Facts = z.object({ facts: z.array(z.object({ statement: z.string(), quote: z.string() })) });
const FACTS = {
  name: 'facts',
  system: 'Find facts.',
  user: JSON.stringify({ description: 'Brief this', text: STORM }),
  schema: Facts,
  maxOutputTokens: 2000,
};

async function control(body: unknown): Promise<void> {
  const response = await fetch(`${endpoint.origin}/faults`, {
    method: 'PUT',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json' },
  });
  expect(response.status).toBe(200);
}

async function stats(): Promise<Stats> {
  const response = await fetch(`${endpoint.origin}/faults`);
  return (await response.json()) as Stats;
}

beforeEach(() => control({ next: [], rates: '' }));

describe('the client against the offline endpoint', () => {
  it('gets facts that are in the text, labelled offline, at the price of the table', async () => {
    const budget = recordingGate();
    const answer = await offlineClient(endpoint.baseUrl).complete(requestOf(FACTS, { budget }));
    expect(answer).toMatchObject({ ok: true, offline: true, model: 'conclave-offline-1', calls: 1, repaired: false });
    for (const { quote } of answer.ok ? answer.value.facts : []) expect(STORM).toContain(quote);
    const { inputTokens, outputTokens, usd } = answer.usage;
    expect(usd).toBeCloseTo((inputTokens * 0.1 + outputTokens * 0.4) / 1e6, 8);
    expect(budget.reserved[0]?.inputTokens).toBeGreaterThanOrEqual(inputTokens);
    expect(budget.reserved[0]?.usd).toBeGreaterThanOrEqual(usd);
  });

  const overcome: readonly [Fault, { repaired: boolean }][] = [
    ['429', { repaired: false }],
    ['500', { repaired: false }],
    ['reset', { repaired: false }],
    ['hang', { repaired: false }],
    ['drip', { repaired: false }],
    ['garbage', { repaired: true }],
    ['broken-body', { repaired: true }],
    ['oversize', { repaired: true }],
    ['wrong-shape', { repaired: true }],
  ];
  it.each(overcome)('overcomes one %s with one more call', async (fault, { repaired }) => {
    const before = await stats();
    await control({ next: [fault] });
    const budget = recordingGate();
    const answer = await offlineClient(endpoint.baseUrl, { timeoutMs: 2000 }).complete(requestOf(FACTS, { budget }));
    expect(answer).toMatchObject({ ok: true, calls: 2, repaired });
    const after = await stats();
    expect(after.requests - before.requests).toBe(2);
    expect(after.faults[fault]).toBe((before.faults[fault] ?? 0) + 1);
    expect(budget.reserved).toHaveLength(2);
    expect(budget.open()).toBe(0);
    await waitUntil('no request is left open', async () => (await stats()).open === 0);
  });

  it('passes on an answer with hostile keys without them', async () => {
    await control({ next: ['hostile'] });
    const answer = await offlineClient(endpoint.baseUrl).complete(requestOf(FACTS));
    expect(answer).toMatchObject({ ok: true, repaired: false });
    expect(answer.ok && Object.keys(answer.value)).toEqual(['facts']);
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
  });

  it('closes the request when it times out, and when the caller aborts', async () => {
    const before = await stats();
    await control({ next: ['hang', 'hang'] });
    const hasty = offlineClient(endpoint.baseUrl, {
      timeoutMs: 100,
      retry: { maxAttempts: 1, baseMs: 1, capMs: 1, retryAfterMaxMs: 1 },
    });
    expect(await hasty.complete(requestOf(FACTS))).toMatchObject({ ok: false, reason: 'unavailable', calls: 1 });
    await waitUntil('the first close is seen', async () => (await stats()).closed === before.closed + 1);
    const caller = new AbortController();
    const call = offlineClient(endpoint.baseUrl).complete(requestOf(FACTS, { signal: caller.signal }));
    await waitUntil('the second call hangs', async () => (await stats()).open === 1);
    caller.abort();
    expect(await call).toMatchObject({ ok: false, reason: 'aborted' });
    await waitUntil('the second close is seen', async () => (await stats()).closed === before.closed + 2);
  });

  it('answers 99 of 100 questions at 30 % faults with at most twice the calls, and leaves no reservation open', async () => {
    const before = await stats();
    await control({
      rates: '429:0.06,500:0.06,hang:0.03,drip:0.03,reset:0.03,garbage:0.05,oversize:0.02,wrong-shape:0.02',
    });
    const client = offlineClient(endpoint.baseUrl, { timeoutMs: 2000 });
    const budget = recordingGate();
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, index) => {
        const user = JSON.stringify({ description: `Question ${index}`, text: STORM });
        return client.complete(requestOf({ ...FACTS, user }, { budget }));
      }),
    );
    const after = await stats();
    const calls = after.requests - before.requests;
    expect(answers.filter((answer) => answer.ok).length).toBeGreaterThanOrEqual(99);
    expect(calls).toBeLessThanOrEqual(200);
    expect(calls).toBeGreaterThan(110);
    expect(answers.reduce((sum, answer) => sum + answer.calls, 0)).toBe(calls);
    expect(budget.open()).toBe(0);
  });
});
