/** The adapter on an endpoint that answers by a script, and what tests of it share. */
import { afterEach } from 'vitest';
import { z } from 'zod';
import { type OpenAiModelOptions, openAiModel } from '../../../shared/adapters/openai-model.ts';
import { createPolicy, type PolicyOptions } from '../../../shared/adapters/resilience.ts';
import type { ModelRequest } from '../../../shared/ports.ts';
import { instantTime } from './manual-time.ts';
import { type ScriptedEndpoint, scriptedEndpoint, type Step } from './scripted-endpoint.ts';
import { recordingGate } from './spend-gate.ts';

const PRICE = { inputUsdPerMTok: 1, outputUsdPerMTok: 2 };
/** Tokens of the first are counted exactly, those of the second are another tokenizer's. */
const PRICES = {
  models: { 'gpt-4o-m': PRICE, m: PRICE },
  communication: { usdPerMessage: 0, usdPerKiB: 0 },
};
export const POLICY: PolicyOptions = {
  name: 'model',
  timeoutMs: 30_000,
  retry: { maxAttempts: 3, baseMs: 1, capMs: 10, retryAfterMaxMs: 60_000 },
  breaker: { kind: 'consecutive', failures: 100, halfOpenAfterMs: 1000 },
  bulkhead: { limit: 4, queue: 4 },
};
const OBSERVER = { breakerState: () => {}, retry: () => {}, timeout: () => {}, overloaded: () => {} };
export const Shape = z.object({ a: z.number() });
/** 100 prompt and 20 completion tokens at 1 and 2 USD per million. */
export const BILLED = { inputTokens: 100, outputTokens: 20, usd: 0.00014 };
export const NOTHING = { inputTokens: 0, outputTokens: 0, usd: 0 };

const endpoints: ScriptedEndpoint[] = [];
afterEach(async () => {
  await Promise.all(endpoints.splice(0).map((endpoint) => endpoint.close()));
});

export async function setUp(
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

export function request(more: Partial<ModelRequest<z.infer<typeof Shape>>> = {}): ModelRequest<z.infer<typeof Shape>> {
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
