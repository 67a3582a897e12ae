import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { BILLED, request, setUp } from './openai-fixture.ts';
import { says } from './scripted-endpoint.ts';
import { recordingGate } from './spend-gate.ts';

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

describe('a model without a price', () => {
  it('is refused when it is made, by name', async () => {
    await expect(setUp([], { model: 'unheard-of' })).rejects.toThrow('no price for model "unheard-of"');
  });
});
