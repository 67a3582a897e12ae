/**
 * What one answered call is charged, and how many input tokens the next one may need. The endpoint's own count is a claim: it is believed as far
 * as the prompt that was sent and the text that came back bear it out, and where it cannot be, the larger of what they show and what was reserved
 * counts (I4). A count that is missing, negative, a fraction or no number has been dropped by `readExchange` already.
 */
import type { TokenCount } from '../core/cost.ts';

/** Why a count was not taken at its word. */
export type UsageDoubt =
  /** None came that could be used. */
  | 'missing'
  /** Nothing is billed for a prompt, or for a text, that is there. */
  | 'zero'
  /** More output than `maxOutputTokens`, which was sent along. */
  | 'over_output_limit'
  /** More input than any byte-level tokenizer makes of the prompt. */
  | 'over_prompt';

export interface Charged {
  readonly tokens: TokenCount;
  readonly doubt?: UsageDoubt;
}

/** What is known of the call without the endpoint's word. */
export interface Evidence {
  /** The prompt, by our tokenizer. */
  readonly prompt: number;
  /** The text that came back, by our tokenizer. */
  readonly answer: number;
  readonly reserved: TokenCount;
}

/** A byte-level tokenizer makes at most about four times the tokens of o200k from plain text. */
const SCALE_MAX = 4;

export function charged(reported: TokenCount | undefined, { prompt, answer, reserved }: Evidence): Charged {
  // Never less than the text that did arrive, should the endpoint have ignored its limit.
  const worst = { ...reserved, outputTokens: Math.max(reserved.outputTokens, answer) };
  if (reported === undefined) return { tokens: worst, doubt: 'missing' };
  const { inputTokens, outputTokens } = reported;
  if (inputTokens === 0 || (outputTokens === 0 && answer > 0)) return { tokens: worst, doubt: 'zero' };
  const inputMax = Math.max(reserved.inputTokens, Math.ceil(prompt * SCALE_MAX));
  const input = Math.min(inputTokens, inputMax);
  if (outputTokens > reserved.outputTokens)
    return { tokens: { inputTokens: input, outputTokens: worst.outputTokens }, doubt: 'over_output_limit' };
  return { tokens: { inputTokens: input, outputTokens }, ...(input < inputTokens ? { doubt: 'over_prompt' } : {}) };
}

/** Models whose tokenizer is the one we count with, so that the count is what they bill. */
const COUNTED_EXACTLY = /^(gpt-4o|gpt-4\.1|gpt-5|chatgpt-4o|o[134](-|$)|conclave-offline-)/;

export interface PromptBound {
  /** Input tokens that a call with this prompt may be billed at most. `bytes`: of the prompt in UTF-8. */
  of(counted: number, bytes: number): number;
  /** What the endpoint billed for a prompt. */
  seen(counted: number, billed: number): void;
}

/**
 * Other models count other tokens. Until such an endpoint has told its count of a prompt, every byte may be a token, which no byte-level tokenizer
 * exceeds; from then on the largest ratio of billed to counted tokens that was seen applies.
 */
export function promptBound(model: string): PromptBound {
  let scale = COUNTED_EXACTLY.test(model) ? 1 : undefined;
  return {
    of: (counted, bytes) => (scale === undefined ? Math.max(counted, bytes) : Math.ceil(counted * scale)),
    seen(counted, billed) {
      scale = Math.min(SCALE_MAX, Math.max(scale ?? 1, billed / counted));
    },
  };
}
