import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type OpenAiModelOptions, openAiModel } from '../../../shared/adapters/openai-model.ts';
import type { UsageDoubt } from '../../../shared/adapters/openai-usage.ts';
import { createPolicy, type PolicyOptions } from '../../../shared/adapters/resilience.ts';
import type { ModelRequest } from '../../../shared/ports.ts';
import { waitUntil } from '../../support/wait.ts';
import { instantTime } from './manual-time.ts';
import { failing, hangs, json, type ScriptedEndpoint, says, scriptedEndpoint, type Step } from './scripted-endpoint.ts';
import { recordingGate } from './spend-gate.ts';

const PRICE = { inputUsdPerMTok: 1, outputUsdPerMTok: 2 };
/** Tokens of the first are counted exactly, those of the second are another tokenizer's. */
const PRICES = {
  models: { 'gpt-4o-m': PRICE, m: PRICE },
  communication: { usdPerMessage: 0, usdPerKiB: 0 },
};
const POLICY: PolicyOptions = {
  name: 'model',
  timeoutMs: 30_000,
  retry: { maxAttempts: 3, baseMs: 1, capMs: 10, retryAfterMaxMs: 60_000 },
  breaker: { kind: 'consecutive', failures: 100, halfOpenAfterMs: 1000 },
  bulkhead: { limit: 4, queue: 4 },
};
const OBSERVER = { breakerState: () => {}, retry: () => {}, timeout: () => {}, overloaded: () => {} };
const Shape = z.object({ a: z.number() });
/** 100 prompt and 20 completion tokens at 1 and 2 USD per million. */
const BILLED = { inputTokens: 100, outputTokens: 20, usd: 0.00014 };
const NOTHING = { inputTokens: 0, outputTokens: 0, usd: 0 };

const endpoints: ScriptedEndpoint[] = [];
afterEach(async () => {
  await Promise.all(endpoints.splice(0).map((endpoint) => endpoint.close()));
});

async function setUp(
  steps: readonly Step[],
  options: Partial<OpenAiModelOptions> = {},
  policy: Partial<PolicyOptions> = {},
) {
  const endpoint = await scriptedEndpoint(steps);
  endpoints.push(endpoint);
  const time = instantTime();
  const model = openAiModel({
    baseUrl: endpoint.baseUrl,
    apiKey: 'sk-very-secret-key',
    model: 'gpt-4o-m',
    prices: PRICES,
    policy: createPolicy({ ...POLICY, ...policy }, OBSERVER, time),
    ...options,
  });
  return { endpoint, model, time };
}

function request(more: Partial<ModelRequest<z.infer<typeof Shape>>> = {}): ModelRequest<z.infer<typeof Shape>> {
  return {
    name: 'shape',
    system: 'Answer.',
    user: 'What is a?',
    schema: Shape,
    maxOutputTokens: 50,
    budget: recordingGate(),
    signal: new AbortController().signal,
    ...more,
  };
}

describe('an answer that fits', () => {
  it('comes back as a value with its usage, model and label', async () => {
    const { endpoint, model } = await setUp([says('{"a":1}', { headers: { 'x-conclave-offline': 'true' } })]);
    const budget = recordingGate();
    const answer = await model.complete(request({ budget, headers: { traceparent: '00-trace' } }));
    expect(answer).toEqual({
      ok: true,
      value: { a: 1 },
      usage: BILLED,
      model: 'served',
      calls: 1,
      repaired: false,
      offline: true,
    });
    expect(budget.settled).toEqual([BILLED]);
    const [call] = endpoint.calls;
    expect(call?.path).toBe('/v1/chat/completions');
    expect(call?.headers).toMatchObject({ authorization: 'Bearer sk-very-secret-key', traceparent: '00-trace' });
    expect(call?.body).toMatchObject({
      model: 'gpt-4o-m',
      max_completion_tokens: 50,
      messages: [
        { role: 'system', content: 'Answer.' },
        { role: 'user', content: 'What is a?' },
      ],
      response_format: { type: 'json_schema', json_schema: { name: 'shape', strict: true } },
    });
    expect(call?.body).not.toHaveProperty('max_tokens');
  });

  it('bounds the output by max_tokens for servers that know no other name', async () => {
    const { endpoint, model } = await setUp([says('{"a":1}')], { outputLimit: 'max_tokens' });
    await model.complete(request());
    expect(endpoint.calls[0]?.body).toMatchObject({ max_tokens: 50 });
    expect(endpoint.calls[0]?.body).not.toHaveProperty('max_completion_tokens');
  });

  it('is not offline when nothing says so', async () => {
    const { model } = await setUp([says('{"a":1}')]);
    expect(await model.complete(request())).toMatchObject({ ok: true, offline: false });
  });

  it('reserves the counted prompt and the whole output before it calls', async () => {
    const { model } = await setUp([says('{"a":1}')]);
    const budget = recordingGate();
    await model.complete(request({ budget, user: 'word '.repeat(1000) }));
    const [worst] = budget.reserved;
    expect(worst?.outputTokens).toBe(50);
    expect(worst?.inputTokens).toBeGreaterThanOrEqual(1000);
    expect(worst?.inputTokens).toBeLessThan(1200);
    expect(worst?.usd).toBeCloseTo(((worst?.inputTokens ?? 0) + 100) / 1e6, 12);
    // Longer than a call can take: a reservation that is older is a dead agent's.
    expect(budget.withinMs[0]).toBeGreaterThan(30_000);
  });

  it('reserves more once the endpoint bills more tokens than were counted', async () => {
    const counted = await setUp([says('{"a":1}')]);
    const gate = recordingGate();
    await counted.model.complete(request({ budget: gate }));
    const first = gate.reserved[0]?.inputTokens ?? 0;
    const { model } = await setUp([
      says('{"a":1}', { usage: { prompt_tokens: first * 2, completion_tokens: 1 } }),
      says('{"a":1}'),
    ]);
    const budget = recordingGate();
    await model.complete(request({ budget }));
    await model.complete(request({ budget }));
    expect(budget.reserved.map((worst) => worst.inputTokens)).toEqual([first, first * 2]);
  });

  it('reserves every byte of the first prompt where the tokenizer is not known, then what was billed', async () => {
    const user = 'word '.repeat(1000);
    const { model } = await setUp([says('{"a":1}'), says('{"a":1}')], { model: 'm' });
    const budget = recordingGate();
    await model.complete(request({ budget, user }));
    await model.complete(request({ budget, user }));
    const [first, second] = budget.reserved.map((worst) => worst.inputTokens);
    expect(first).toBeGreaterThan(user.length);
    expect(second).toBeLessThan(1200);
  });
});

describe('a count of tokens that cannot be true', () => {
  const claims: [UsageDoubt, unknown][] = [
    ['missing', 'none'],
    ['missing', { prompt_tokens: -5, completion_tokens: 1 }],
    ['missing', { prompt_tokens: 10.5, completion_tokens: 1 }],
    ['missing', { prompt_tokens: 'NaN', completion_tokens: 1 }],
    ['missing', { prompt_tokens: 10 }],
    ['zero', { prompt_tokens: 0, completion_tokens: 1 }],
    ['zero', { prompt_tokens: 10, completion_tokens: 0 }],
    ['over_output_limit', { prompt_tokens: 10, completion_tokens: 51 }],
    ['over_output_limit', { prompt_tokens: 10, completion_tokens: 90_000_000 }],
    ['over_prompt', { prompt_tokens: 90_000_000, completion_tokens: 1 }],
  ];
  it.each(claims)('(%s: %j) is told, and charged within what was reserved or is there', async (doubt, usage) => {
    const doubts: UsageDoubt[] = [];
    const onDoubt = (each: UsageDoubt): void => void doubts.push(each);
    const { model } = await setUp([says('{"a":1}', { usage })], { onDoubt });
    const budget = recordingGate();
    expect(await model.complete(request({ budget }))).toMatchObject({ ok: true });
    expect(doubts).toEqual([doubt]);
    const [worst, paid] = [budget.reserved[0], budget.settled[0]];
    expect(paid?.outputTokens).toBeLessThanOrEqual(worst?.outputTokens ?? 0);
    expect(paid?.inputTokens).toBeLessThanOrEqual(4 * (worst?.inputTokens ?? 0));
    const unusable = doubt === 'missing' || doubt === 'zero';
    expect(paid?.usd).toBe(unusable ? worst?.usd : paid?.usd);
  });

  it('counts the text that came when the endpoint ignored the limit', async () => {
    const text = JSON.stringify({ a: 1, pad: 'word '.repeat(500) });
    const usage = { prompt_tokens: 100, completion_tokens: 502 };
    const { model } = await setUp([says(text, { usage })]);
    const budget = recordingGate();
    await model.complete(request({ budget }));
    expect(budget.settled[0]?.outputTokens).toBeGreaterThan(500);
    expect(budget.settled[0]?.inputTokens).toBe(100);
  });
});

describe('an answer that does not fit', () => {
  const misfits: [string, Step][] = [
    ['not JSON', says('As requested: {')],
    ['another shape', says('{"b":1}')],
    ['empty', says('')],
    ['cut off', says('{"a":', { finish: 'length' })],
    ['no completion', json(200, { hello: 'world' })],
    [
      'an HTTP body that is not JSON',
      (response) => response.writeHead(200, { 'content-type': 'application/json' }).end('<html>'),
    ],
    ['an HTML page', (response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<html>')],
  ];

  it.each(misfits)('(%s) is repaired once, with the problem told', async (_, misfit) => {
    const { endpoint, model } = await setUp([misfit, says('{"a":2}')]);
    const budget = recordingGate();
    const answer = await model.complete(request({ budget }));
    expect(answer).toMatchObject({ ok: true, value: { a: 2 }, repaired: true, calls: 2 });
    const messages = JSON.stringify(endpoint.calls[1]?.body['messages']);
    expect(messages).toContain('Your answer could not be used');
    expect(budget.reserved).toHaveLength(2);
    expect(budget.open()).toBe(0);
  });

  it.each(misfits)('(%s) twice is invalid_output, and there is no third call', async (_, misfit) => {
    const { endpoint, model } = await setUp([misfit, misfit]);
    expect(await model.complete(request())).toMatchObject({ ok: false, reason: 'invalid_output', calls: 2 });
    expect(endpoint.calls).toHaveLength(2);
  });

  it('is sent back with the answer and the issue', async () => {
    const { endpoint, model } = await setUp([says('{"b":1}'), says('{"a":2}')]);
    await model.complete(request());
    const messages = endpoint.calls[1]?.body['messages'];
    expect(messages).toMatchObject([
      { role: 'system' },
      { role: 'user' },
      { role: 'assistant', content: '{"b":1}' },
      { role: 'user', content: expect.stringContaining('- a: ') },
    ]);
  });

  it('whose body is endless is cut at the limit, and the connection closed', async () => {
    const endless: Step = (response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      const push = () => {
        while (!response.destroyed && response.write('x'.repeat(1024))) {}
      };
      response.on('drain', push);
      push();
    };
    const { endpoint, model } = await setUp([endless, says('{"a":2}')], { answerBytesMax: 100_000 });
    const budget = recordingGate();
    expect(await model.complete(request({ budget }))).toMatchObject({ ok: true, value: { a: 2 }, repaired: true });
    await endpoint.calls[0]?.closed;
    // What an answer of unknown length cost is unknown: the worst case.
    expect(budget.settled[0]).toEqual(budget.reserved[0]);
  });

  it('whose body unfolds beyond the limit is cut as well', async () => {
    const bomb: Step = (response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' });
      response.end(gzipSync(JSON.stringify({ pad: ' '.repeat(5_000_000) })));
    };
    const { model } = await setUp([bomb, says('{"a":2}')], { answerBytesMax: 100_000 });
    expect(await model.complete(request())).toMatchObject({ ok: true, repaired: true });
  });

  it('settles the worst case when the endpoint reports no usable count', async () => {
    for (const usage of [
      undefined,
      null,
      { prompt_tokens: -1, completion_tokens: 1 },
      { prompt_tokens: 1e300, completion_tokens: 1 },
    ]) {
      const { model } = await setUp([says('{"a":1}', { usage: usage ?? 'none' })]);
      const budget = recordingGate();
      await model.complete(request({ budget }));
      expect(budget.settled).toEqual(budget.reserved);
    }
  });
});

describe('keys that nobody asked for', () => {
  it('do not arrive, and __proto__ is inert', async () => {
    const hostile =
      '{"a":1,"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},"budget":{"usd":1}}';
    const { model } = await setUp([says(hostile), says(hostile)]);
    expect(await model.complete(request())).toMatchObject({ ok: true, value: { a: 1 } });
    const Loose = z.record(z.string(), z.unknown());
    const loose = await model.complete({ ...request(), schema: Loose });
    const value = loose.ok ? loose.value : {};
    expect(Object.keys(Object.assign({}, value))).toEqual(['a', 'constructor', 'budget']);
    expect(Object.getPrototypeOf(Object.assign({}, value))).toBe(Object.prototype);
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
  });
});

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

describe('the budget', () => {
  it('stops the first call: nothing is sent', async () => {
    const { endpoint, model } = await setUp([]);
    const answer = await model.complete(request({ budget: recordingGate(0) }));
    expect(answer).toEqual({
      ok: false,
      reason: 'budget',
      limit: 'usd',
      message: 'the budget of 1 USD is used up',
      usage: NOTHING,
      calls: 0,
    });
    expect(endpoint.calls).toEqual([]);
  });

  it('stops a retry', async () => {
    const { endpoint, model } = await setUp([failing(500)]);
    expect(await model.complete(request({ budget: recordingGate(1) }))).toMatchObject({
      ok: false,
      reason: 'budget',
      calls: 1,
    });
    expect(endpoint.calls).toHaveLength(1);
  });

  it('stops a repair, and what was spent is told', async () => {
    const { endpoint, model } = await setUp([says('no')]);
    expect(await model.complete(request({ budget: recordingGate(1) }))).toMatchObject({
      ok: false,
      reason: 'budget',
      calls: 1,
      usage: BILLED,
    });
    expect(endpoint.calls).toHaveLength(1);
  });

  it('settles nothing for a call that was aborted before it was sent', async () => {
    const { endpoint, model } = await setUp([]);
    const caller = new AbortController();
    const inner = recordingGate();
    const budget = {
      async reserve(worst: Parameters<typeof inner.reserve>[0]) {
        caller.abort();
        return inner.reserve(worst);
      },
    };
    expect(await model.complete(request({ budget, signal: caller.signal }))).toMatchObject({
      ok: false,
      reason: 'aborted',
      calls: 0,
    });
    expect(inner.settled).toEqual([NOTHING]);
    expect(endpoint.calls).toEqual([]);
  });

  it('that fails to settle is an error of its own, not an answer', async () => {
    const { model } = await setUp([says('{"a":1}')]);
    const budget = {
      reserve: async () => ({ granted: true as const, settle: () => Promise.reject(new Error('store is down')) }),
    };
    await expect(model.complete(request({ budget }))).rejects.toThrow('store is down');
  });
});

describe('a model without a price', () => {
  it('is refused when it is made, by name', async () => {
    await expect(setUp([], { model: 'unheard-of' })).rejects.toThrow('no price for model "unheard-of"');
  });
});
