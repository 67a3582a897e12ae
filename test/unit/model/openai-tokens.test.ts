import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runsOf, tokenCounter } from '../../../shared/adapters/openai-tokens.ts';
import { noise } from './sample.ts';

const count = await tokenCounter();

describe('token counts', () => {
  it.each([
    ['', 0],
    ['hello world', 2],
    ['The quick brown fox jumps over the lazy dog.', 10],
    ['{"a":1,"b":[true,null]}', 10],
  ])('of %j are those of the o200k encoding', (text, tokens) => {
    expect(count(text)).toBe(tokens);
  });

  it('take special tokens for the text they are', () => {
    expect(count('<|endoftext|>')).toBeGreaterThan(1);
  });

  it('are the same for long prose as for its sentences', () => {
    const sentence = 'Agents share no memory and need no central orchestrator, as the broker keeps the log of it all.';
    const alone = count(` ${sentence}`);
    expect(count(` ${sentence}`.repeat(50))).toBe(50 * alone);
  });

  // In one piece each of these would take the tokenizer far longer than a test may: the test's timeout judges.
  it.each([
    ['letters', 'a'.repeat(200_000)],
    ['spaces', ' '.repeat(200_000)],
    ['ideographs', '漢'.repeat(70_000)],
  ])('of an endless run of %s come in time', (_, text) => {
    expect(count(text)).toBeGreaterThan(1000);
  });
});

describe('runsOf', () => {
  it('loses nothing, keeps runs short and never cuts a character in half', () => {
    const part = fc.oneof(noise(20), fc.constantFrom(' ', 'x'.repeat(300), '😀'.repeat(200)));
    const text = fc.array(part, { maxLength: 8 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(text, (whole) => {
        const runs = [...runsOf(whole)];
        expect(runs.join('')).toBe(whole);
        expect(runs.every((run) => run.length > 0 && run.length <= 256)).toBe(true);
        expect(!whole.isWellFormed() || runs.every((run) => run.isWellFormed())).toBe(true);
      }),
    );
  });
});
