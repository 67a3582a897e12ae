import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { charged, promptBound } from '../../../shared/adapters/openai-usage.ts';

const tokens = fc.oneof(fc.nat(5_000), fc.nat(100_000_000));
const call = fc.record({
  prompt: fc.integer({ min: 1, max: 5_000 }),
  answer: fc.nat(5_000),
  reserved: fc.record({
    inputTokens: fc.integer({ min: 1, max: 20_000 }),
    outputTokens: fc.integer({ min: 1, max: 4_000 }),
  }),
});

describe('what a call is charged', () => {
  it('is the endpoint’s own count wherever that is possible, and then without a doubt', () => {
    fc.assert(
      fc.property(
        call,
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (of, a, b) => {
          const reported = {
            inputTokens: 1 + Math.floor(a * (of.reserved.inputTokens - 1)),
            outputTokens: Math.max(Math.min(1, of.answer), Math.floor(b * of.reserved.outputTokens)),
          };
          expect(charged(reported, of)).toEqual({ tokens: reported });
        },
      ),
    );
  });

  it('is never less than the reserved worst case when the count is none, and never more than prompt, limit and text allow', () => {
    fc.assert(
      fc.property(
        call,
        fc.option(fc.record({ inputTokens: tokens, outputTokens: tokens }), { nil: undefined }),
        (of, reported) => {
          const { tokens: paid, doubt } = charged(reported, of);
          const least =
            doubt === 'missing' || doubt === 'zero'
              ? of.reserved
              : { inputTokens: 1, outputTokens: Math.min(1, of.answer) };
          expect(paid.inputTokens).toBeGreaterThanOrEqual(least.inputTokens);
          expect(paid.outputTokens).toBeGreaterThanOrEqual(least.outputTokens);
          expect(paid.inputTokens).toBeLessThanOrEqual(Math.max(of.reserved.inputTokens, of.prompt * 4));
          expect(paid.outputTokens).toBeLessThanOrEqual(Math.max(of.reserved.outputTokens, of.answer));
          expect(doubt === undefined ? reported : paid).toEqual(paid);
        },
      ),
    );
  });
});

describe('the bound of a prompt', () => {
  it('is exact from the start for models whose tokenizer is ours', () => {
    for (const model of ['gpt-4o', 'gpt-4o-mini', 'gpt-4.1-nano', 'gpt-5-mini', 'o3', 'o4-mini', 'conclave-offline-1'])
      expect(promptBound(model).of(100, 400)).toBe(100);
  });

  it('is every byte for others, until the endpoint told what it counts', () => {
    for (const model of ['gpt-4', 'gpt-3.5-turbo', 'llama3', 'o2000', 'mistral']) {
      const bound = promptBound(model);
      expect(bound.of(100, 400)).toBe(400);
      bound.seen(100, 130);
      expect(bound.of(100, 400)).toBe(130);
      bound.seen(100, 90);
      expect(bound.of(100, 400)).toBe(130);
    }
  });

  it('is not moved beyond what a tokenizer can do', () => {
    const bound = promptBound('gpt-4o');
    bound.seen(10, 90_000_000);
    expect(bound.of(10, 40)).toBe(40);
  });
});
