import { describe, expect, it } from 'vitest';
import { waitUntil } from '../../support/wait.ts';
import { BILLED, NOTHING, POLICY, request, setUp } from './openai-fixture.ts';
import { failing, hangs, json, says, type Step } from './scripted-endpoint.ts';
import { recordingGate } from './spend-gate.ts';

describe('a failing endpoint', () => {
  it.each([429, 500, 502, 503, 529])('is asked again after %i, which costs nothing', async (status) => {
    const { endpoint, model } = await setUp([failing(status), says('{"a":1}')]);
    const budget = recordingGate();
    expect(await model.complete(request({ budget }))).toMatchObject({ ok: true, calls: 2, usage: BILLED });
    expect(budget.reserved).toHaveLength(2);
    expect(budget.settled).toEqual([NOTHING, BILLED]);
    expect(endpoint.calls).toHaveLength(2);
  });

  it.each([400, 401, 403, 404, 422])('is not asked again after %i', async (status) => {
    const { endpoint, model } = await setUp([failing(status)]);
    const budget = recordingGate();
    expect(await model.complete(request({ budget }))).toMatchObject({
      ok: false,
      reason: 'refused',
      calls: 1,
      usage: NOTHING,
    });
    expect(endpoint.calls).toHaveLength(1);
    expect(budget.settled).toEqual([NOTHING]);
  });

  it('is not asked again when its quota is used up', async () => {
    const { endpoint, model } = await setUp([failing(429, {}, 'insufficient_quota')]);
    expect(await model.complete(request())).toMatchObject({
      ok: false,
      reason: 'refused',
      message: expect.stringContaining('quota'),
    });
    expect(endpoint.calls).toHaveLength(1);
  });

  it('counts a gateway that gave up waiting as the worst case', async () => {
    const { model } = await setUp([failing(504), says('{"a":1}')]);
    const budget = recordingGate();
    await model.complete(request({ budget }));
    expect(budget.settled).toEqual([budget.reserved[0], BILLED]);
  });

  it('is waited for as long as Retry-After says', async () => {
    const { model, time } = await setUp([failing(429, { 'retry-after': '7' }), says('{"a":1}')]);
    await model.complete(request());
    expect(time.delays).toEqual([7000.5]);
  });

  it('ends as unavailable after the last attempt, with the time it asked for', async () => {
    const { model } = await setUp([500, 500, 503].map((status) => failing(status, { 'retry-after': '2' })));
    const answer = await model.complete(request());
    expect(answer).toMatchObject({
      ok: false,
      reason: 'unavailable',
      calls: 3,
      retryAfterMs: 2000,
      message: expect.stringContaining('503'),
    });
  });

  it('that nobody answers for is unavailable, and nothing was billed', async () => {
    const { endpoint, model } = await setUp([]);
    await endpoint.close();
    const budget = recordingGate();
    expect(await model.complete(request({ budget }))).toMatchObject({
      ok: false,
      reason: 'unavailable',
      message: expect.stringContaining('ECONNREFUSED'),
    });
    expect(budget.settled).toEqual([NOTHING, NOTHING, NOTHING]);
  });

  it('that breaks the connection may have billed: the worst case', async () => {
    const breaks: Step = (response) => response.destroy();
    const { model } = await setUp([breaks, says('{"a":1}')]);
    const budget = recordingGate();
    expect(await model.complete(request({ budget }))).toMatchObject({ ok: true, calls: 2 });
    expect(budget.settled).toEqual([budget.reserved[0], BILLED]);
  });

  it('opens the breaker, and the next call is told when to come back', async () => {
    const { endpoint, model } = await setUp(
      [500, 500, 500].map((status) => failing(status)),
      {},
      { breaker: { kind: 'consecutive', failures: 3, halfOpenAfterMs: 60_000 } },
    );
    await model.complete(request());
    const budget = recordingGate();
    const answer = await model.complete(request({ budget }));
    expect(answer).toMatchObject({ ok: false, reason: 'unavailable', calls: 0 });
    expect(!answer.ok && answer.retryAfterMs).toBeGreaterThan(0);
    expect(budget.reserved).toEqual([]);
    expect(endpoint.calls).toHaveLength(3);
  });

  it('never sees its key in a message', async () => {
    const { model } = await setUp([json(401, { error: { message: 'no such key: sk-very-secret-key' } })]);
    const answer = await model.complete(request());
    expect(answer).toMatchObject({ ok: false, message: expect.stringContaining('check OPENAI_API_KEY') });
    expect(JSON.stringify(answer)).not.toContain('very-secret');
  });
});

describe('an endpoint that hangs', () => {
  it('times out, is closed, and costs the worst case, as what it did is unknown', async () => {
    const { endpoint, model } = await setUp([hangs], {}, { timeoutMs: 50, retry: { ...POLICY.retry, maxAttempts: 1 } });
    const budget = recordingGate();
    const answer = await model.complete(request({ budget }));
    expect(answer).toMatchObject({ ok: false, reason: 'unavailable', calls: 1, usage: budget.reserved[0] });
    // On a busy machine the timeout may come before the connection: then there is nothing to close.
    await Promise.all(endpoint.calls.map((call) => call.closed));
    expect(budget.settled).toEqual(budget.reserved);
  });

  it('is closed when the caller aborts, and every reservation is settled by then', async () => {
    const { endpoint, model } = await setUp([hangs]);
    const caller = new AbortController();
    const budget = recordingGate();
    const call = model.complete(request({ budget, signal: caller.signal }));
    const [received] = await waitUntil('the endpoint has the call', () =>
      endpoint.calls.length > 0 ? endpoint.calls : undefined,
    );
    caller.abort();
    expect(await call).toMatchObject({ ok: false, reason: 'aborted', calls: 1 });
    expect(budget.settled).toEqual(budget.reserved);
    await received?.closed;
    expect(endpoint.calls).toHaveLength(1);
  });
});
