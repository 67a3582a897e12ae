import { describe, expect, it } from 'vitest';
import type { UsageDoubt } from '../../../shared/adapters/openai-usage.ts';
import { BILLED, NOTHING, request, setUp } from './openai-fixture.ts';
import { failing, says } from './scripted-endpoint.ts';
import { recordingGate } from './spend-gate.ts';

describe('a reservation', () => {
  it('is the counted prompt and the whole output, made before the call', async () => {
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

  it('grows once the endpoint bills more tokens than were counted', async () => {
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

  it('is every byte of the first prompt where the tokenizer is not known, then what was billed', async () => {
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
    expect(unusable && paid?.usd !== worst?.usd).toBe(false);
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
